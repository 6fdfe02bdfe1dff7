"""`engram replay`: a data set through the log into a learner, tested then trained, with figures as they rise.

The command is the evaluator; the learner and the producer are child processes, which share nothing but the log.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from prometheus_client import CollectorRegistry
from rich.console import Console

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.metrics import EvaluatorMetrics
from engram import options
from engram.children import Child, StopRequest
from engram.live_view import FinalTable, LiveView
from engram.options import settings_command
from engram.parts import METRICS, create_topics, lane_config, linger, open_log, run_info, serve_metrics
from engram.recompute import read_to_the_end
from engram.retraining import check_trainer
from engram.run_folder import RunFolder
from engram.settings import Settings, child_environment, describe, to_toml
from engram.source import Source, find_source, open_stream
from engram.time_range import time_range_ms
from engram.warm import warm_up_evaluator
from eventlog import local_broker
from eventlog.errors import EngramError, SettingsError
from eventlog.log import Log
from eventlog.ownership import Owned
from eventlog.topics import Topics

INTERRUPTED = 130
READY_TIMEOUT_S = 900.0  # kernels are compiled before, once: minutes on a busy machine
END_TIMEOUT_S = 120.0
_STEP_S = 0.05
_TRAINER_PORT = 2  # after the learner's own, and this process's
_FILE_WIDTH = 120  # of output that is no terminal: the final table needs as much

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run.", show_default="runs/DATASET-TIME"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No live view; the final table only.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace an unfinished run in --out; do not resume it.")]

REPLAY_SETTINGS = (
    "dataset",
    *(name for name in options.SOURCE if name != "dataset"),
    *options.LEARNING,
    *(name for name in options.LOG if name not in {"log_path", "topic_prefix"}),
    *METRICS,
)


@settings_command(*REPLAY_SETTINGS)
def replay(settings: Settings, out: Out = None, quiet: Quiet = False, fresh: Fresh = False) -> None:
    """Replay a data set through the log into a learner; test, then learn, each event.

    Stopped with Ctrl-C, the same command with the same --out goes on.
    """
    run_replay(settings, out, quiet=quiet, fresh=fresh)


def run_replay(
    settings: Settings,
    out: Path | None = None,
    *,
    source: Source | None = None,
    quiet: bool = False,
    fresh: bool = False,
) -> dict[str, Any]:
    """Run (or resume) a replay with child processes; return the content of result.json.

    source: where the data set was found, looked for when it is None.

    Raises `EngramError` for bad settings and failed children; exits with `INTERRUPTED` on SIGINT and SIGTERM.
    """
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    # What can be said at once is said before anything is looked for, downloaded or started.
    if settings.dataset is None:
        raise SettingsError("dataset is absent, expected the name of one: `engram data list`")
    time_range_ms(settings)
    lane_config(settings).build()
    if settings.retrain_every:
        check_trainer(settings.batch_model)
    if out is None:
        out = Path("runs") / f"{Path(settings.dataset).name}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"
    folder = RunFolder(out, settings, fresh=fresh)
    settings = folder.place(find_broker(settings) if settings.log == "kafka" else settings)
    source = source or find_source(settings)
    if source.folder is not None:
        settings = msgspec.structs.replace(settings, data_dir=str(source.folder))
    console.print(source.description, markup=False, highlight=False, style="bold")
    if folder.notice:
        console.print(folder.notice, markup=False, highlight=False)
    if not quiet:
        console.print(describe(settings, changed_only=True), markup=False, highlight=False, style="dim")
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            Owned(out / "lock", f"another command runs in {out}: wait for it, or name another --out")
        )
        folder.start()
        # Read whole here, before anything is started: a malformed line ends the command with its name.
        folder.check_data(open_stream(settings, source.folder).digest())
        log = stack.enter_context(open_log(settings))
        if folder.obsolete_prefix:
            for topic in Topics.with_prefix(folder.obsolete_prefix):
                log.delete_topic(topic)
        replaying = _Replaying(settings, source, folder, log, console)
        try:
            result = replaying.run(stack, quiet=quiet)
        except StoppedError:
            console.print(f"\nStopped. To go on: {_resume_command(folder)}", markup=False, highlight=False)
            raise SystemExit(INTERRUPTED) from None
    console.print(FinalTable(result))
    console.print(f"digest {result['digest']}\nreport {out}", markup=False, highlight=False)
    return result


class StoppedError(EngramError):
    """SIGINT or SIGTERM came."""


class _Replaying:
    """One run: the children, and the evaluator in this process."""

    def __init__(
        self, settings: Settings, source: Source, folder: RunFolder, log: Log, console: Console
    ) -> None:
        self._settings = settings
        self._source = source
        self._folder = folder
        self._log = log
        self._console = console
        self._topics = Topics.with_prefix(settings.topic_prefix)
        self._children: list[Child] = []
        self._stop = StopRequest()

    def run(self, stack: contextlib.ExitStack, *, quiet: bool) -> dict[str, Any]:
        """Start, evaluate, report. Whatever happens, no child is left running."""
        settings = self._settings
        create_topics(self._log, self._topics, settings.partitions)
        store = CheckpointStore(Path(settings.checkpoint_dir) / "evaluator")
        registry = CollectorRegistry()
        server = serve_metrics(stack, registry, settings, "evaluator", offset=1)
        evaluator = stack.enter_context(
            Evaluator(self._log, self._topics.predictions, store=store, metrics=EvaluatorMetrics(registry))
        )
        stack.callback(self._stop_children)
        # Resumed between the last event and the report, it has nothing left to start.
        seconds = None if evaluator.done else self._evaluate(evaluator, quiet=quiet)
        data_digest = open_stream(settings, self._source.folder).digest()
        result = evaluator.result(run_info(settings, self._source, data_digest, seconds))
        from engram.report import write_report  # here, for children and --help need no plotting

        write_report(self._folder.path, result, evaluator.curves())
        self._folder.finish()
        linger(server, settings)
        return result

    def _evaluate(self, evaluator: Evaluator, *, quiet: bool) -> float | None:
        """Run the children and evaluate until the end; return the seconds from the first write to the last event."""
        learner = self._start("learner", "learn", "--until-end")
        trainer = self._start_trainer()
        producer = self._start("producer", "produce", "--on-word")
        warm_up_evaluator()
        self._wait_until_ready(learner)
        self._wait_until_ready(producer)
        if trainer is not None:
            self._wait_until_ready(trainer)
        producer.tell()
        heading = f"{self._settings.dataset} ({self._settings.log} log)"
        view = None if quiet else LiveView(evaluator, heading=heading, console=self._console)
        with view or contextlib.nullcontext():
            while not evaluator.done:
                evaluator.step(_STEP_S)
                if view is not None:
                    view.update()
                try:
                    self._check()
                except StoppedError:
                    self._stop_children()
                    evaluator.checkpoint()
                    raise
        ended_s = time.time()
        learner.wait(END_TIMEOUT_S)
        producer.wait(END_TIMEOUT_S)
        if trainer is not None:
            trainer.wait(END_TIMEOUT_S)
        started_s = producer.said("writing_since_s")
        if self._folder.resumed:
            read_to_the_end(evaluator)
            return None
        return None if started_s is None else ended_s - float(started_s)

    def _start_trainer(self) -> Child | None:
        """Start the one that trains on what the log has at fixed events, where the settings say so."""
        every = self._settings.retrain_every
        if not every:
            return None
        arguments = ["--watch", "--every", str(every), "--until-end"]
        if self._settings.metrics_port:
            arguments += ["--metrics-port", str(self._settings.metrics_port + _TRAINER_PORT)]
        return self._start("trainer", "train", self._settings.batch_model, *arguments)

    def _wait_until_ready(self, child: Child) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while child.said("ready") is None:
            self._check()
            if time.monotonic() > deadline_s:
                raise EngramError(
                    f"the {child.name} was not ready in {READY_TIMEOUT_S:g} s; see {child.log_path}"
                )
            time.sleep(_STEP_S)

    def _check(self) -> None:
        """Raise `StoppedError` when a signal came, `EngramError` when a child failed or was ended by somebody."""
        if self._stop:
            raise StoppedError
        for child in self._children:
            child.check()
            if not child.running and child.said("finished") is None:
                raise EngramError(f"the {child.name} was stopped before its end; see {child.log_path}")

    def _start(self, name: str, *arguments: str) -> Child:
        config = self._folder.path / "settings.toml"
        config.write_text(to_toml(self._settings), "utf-8")
        child = Child(
            name,
            [*arguments, "--config", str(config), "--with-parent"],
            self._folder.path / "logs" / f"{name}.log",
            child_environment(self._settings),
        )
        self._children.append(child)
        return child

    def _stop_children(self) -> None:
        """Stop the producer first: what it wrote, the learner can still learn."""
        for child in reversed(self._children):
            child.stop()


def find_broker(settings: Settings) -> Settings:
    """Give the settings Kafka's address: their own, else that of the local broker.

    Raises `SettingsError` that names the command to start one.
    """
    if settings.kafka is not None:
        return settings
    broker = local_broker.status()
    if not broker.running:
        raise SettingsError(
            "log is 'kafka' and no broker is known, expected --bootstrap HOST:PORT, ENGRAM_KAFKA, or a local "
            "broker: `engram kafka up` starts one"
        )
    return msgspec.structs.replace(settings, kafka=broker.address)


def _resume_command(folder: RunFolder) -> str:
    """The command to go on: this one, with the folder named, and without --fresh."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--fresh"]
    if "--out" not in " ".join(arguments):
        arguments += ["--out", str(folder.path)]
    return shlex.join(["engram", *arguments])
