"""The processes of a deployment as commands: `engram learn` and `engram evaluate` (`engram produce` is beside).

SIGTERM and SIGINT end them cleanly: what was done is made durable, and the exit code is 0.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.metrics import EvaluatorMetrics
from consumers.metrics_server import Health
from engram import options
from engram.children import StopRequest, say
from engram.options import settings_command
from engram.parts import (
    METRICS,
    build_learner,
    create_topics,
    lane_config,
    linger,
    open_log,
    serve_metrics,
    topics_of,
)
from engram.process_log import log_to_stderr
from engram.recompute import recompute
from engram.settings import Settings, describe
from engram.warm import warm_up_learner
from eventlog.errors import SettingsError

_METRICS = (*METRICS, "log_format")

UntilEnd = Annotated[
    bool,
    typer.Option("--until-end", help="End when every announced source has ended; else run until stopped."),
]
# Hidden: for `engram replay`, whose children shall not outlive it.
WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True)]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="Folder of a finished run: recompute its figures and compare."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Evaluate what the learner publishes, until stopped.")]


def start_service(name: str, settings: Settings, *, for_people: bool) -> None:
    """Log to standard error, first of all the settings; for_people: see `process_log.log_to_stderr`."""
    log_to_stderr(name, settings.log_format, for_people=for_people)
    logging.getLogger(__name__).info("settings:\n%s", describe(settings))


@settings_command(
    *options.LOG,
    *options.LEARNING,
    "output_prefix",
    "merge",
    "partitions",
    "seed",
    "checkpoint_dir",
    "registry",
    *_METRICS,
)
def learn(settings: Settings, until_end: UntilEnd = False, with_parent: WithParent = False) -> None:
    """Test, then learn, every event of the ratings topic; publish predictions; keep checkpoints."""
    start_service("learner", settings, for_people=with_parent)
    stop = StopRequest(with_parent=with_parent)
    config = lane_config(settings)
    warm_up_learner(config, settings.partitions)
    topics = topics_of(settings)
    registry = CollectorRegistry()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open_log(settings))
        create_topics(log, topics, settings.partitions)
        learner = build_learner(settings, log, topics, registry, until_end=until_end)
        health = Health()
        server = serve_metrics(stack, registry, settings, "learner", health=health)
        say(ready=True, metrics_port=server and server.port)
        while not stop and not learner.done:
            learner.step(0.2)
            health.beat()
        learner.close()
        if learner.done:
            say(finished=True)
            linger(server, settings)


@settings_command(*options.LOG, "output_prefix", "partitions", "checkpoint_dir", *_METRICS)
def evaluate(
    settings: Settings,
    context: typer.Context,
    run: RunOption = None,
    watch: Watch = False,
    with_parent: WithParent = False,
) -> None:
    """Turn predictions into figures: of a finished run again (--run), or live as a service (--watch)."""
    if context.invoked_subcommand is not None:
        if run is not None or watch:
            raise SettingsError(f"expected one of --run DIR, --watch and {context.invoked_subcommand}")
        return
    if (run is not None) == watch:
        raise SettingsError("expected one of --run DIR and --watch")
    if run is not None:
        recompute(run)
        return
    start_service("evaluator", settings, for_people=with_parent)
    stop = StopRequest(with_parent=with_parent)
    topics = topics_of(settings)
    registry = CollectorRegistry()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open_log(settings))
        create_topics(log, topics, settings.partitions)
        store = CheckpointStore(Path(settings.checkpoint_dir) / "evaluator")
        metrics = EvaluatorMetrics(registry)
        evaluator = stack.enter_context(
            Evaluator(log, topics.predictions, lanes=(), store=store, metrics=metrics)
        )
        health = Health()
        server = serve_metrics(stack, registry, settings, "evaluator", health=health)
        say(ready=True, metrics_port=server and server.port)
        while not stop:
            evaluator.step(0.2)
            health.beat()
        evaluator.checkpoint()
