"""`engram train --protocol log`: train a batch model on the log so far, or again and again beside a learner (--watch)."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime

import typer
from prometheus_client import CollectorRegistry

from consumers.gpu_metrics import GpuCollector
from consumers.log_cut import LogFollower
from consumers.metrics import TrainerMetrics
from consumers.metrics_server import Health
from engram.children import StopRequest, say
from engram.parts import create_topics, linger, open_log, serve_metrics
from engram.retraining import Retraining, Triggers, check_trainer
from engram.services import start_service
from engram.settings import Settings
from engram.source import rating_limits, rating_scale
from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.model_registry import ModelRegistry
from eventlog.topics import Topics

_LONGEST_TRAINING_S = 6 * 3600.0  # while it trains, its loop does not go round


def train_on_log(
    settings: Settings,
    model: str,
    *,
    until: str | None,
    triggers: Triggers,
    watch: bool,
    until_end: bool,
    with_parent: bool,
    full_every: int = 1,
) -> None:
    """Train a batch model on the log; store a version in the registry; announce it to the learners.

    Raises `SettingsError` for options that do not go together, and a log without events.
    """
    check_trainer(model)
    if watch != any(triggers):
        raise SettingsError("expected --watch with at least one of --every, --every-hours and --on-drift")
    if full_every > 1 and not watch:
        raise SettingsError(f"full_every is {full_every}, expected 1 without --watch")
    if watch and until is not None:
        raise SettingsError(f"until is {until!r}, expected no --until with --watch")
    topics = Topics.with_prefix(settings.topic_prefix)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open_log(settings))
        create_topics(log, topics, settings.partitions)
        registry = CollectorRegistry()
        metrics = TrainerMetrics(registry) if watch else None
        retraining = build_retraining(settings, log, topics, model, triggers, metrics, full_every)
        stack.callback(retraining.close)
        if watch:
            start_service("trainer", settings, for_people=with_parent)
            stop = StopRequest(with_parent=with_parent)
            GpuCollector(registry)
            health = Health(_LONGEST_TRAINING_S)
            server = serve_metrics(stack, registry, settings, "trainer", health=health)
            say(ready=True, metrics_port=server and server.port)
            _watch(retraining, stop, health, until_end=until_end)
            if until_end and retraining.done:
                say(finished=True)
                linger(server, settings)
        else:
            logging.basicConfig(level=logging.INFO, format="%(message)s")
            _read_until(retraining.follower, until)
            if not retraining.follower.events:
                raise SettingsError(
                    f"topic_prefix is {settings.topic_prefix!r}, expected that of a log with events before {until or 'now'}"
                )
            manifest = retraining.train("command")
            typer.echo(f"{model} {manifest.version} in {settings.registry}")


def build_retraining(
    settings: Settings,
    log: Log,
    topics: Topics,
    model: str,
    triggers: Triggers,
    metrics: TrainerMetrics | None = None,
    full_every: int = 1,
) -> Retraining:
    """Make the trainer's parts from the settings."""
    limits, scale = rating_limits(settings), rating_scale(settings)
    follower = LogFollower(log, topics.ratings, merge=settings.merge, limits=limits, scale=scale)
    registry = ModelRegistry(settings.registry)
    return Retraining(
        *(log, topics, registry, follower, model),
        seed=settings.seed,
        triggers=triggers,
        metrics=metrics,
        full_every=full_every,
    )


def _watch(retraining: Retraining, stop: StopRequest, health: Health, *, until_end: bool) -> None:
    while not stop and not (until_end and retraining.done):
        retraining.step(0.2)
        health.beat()


def _read_until(follower: LogFollower, until: str | None) -> None:
    """Take the events before `until`, a position or a time; all that the log holds now for None."""
    most = int(until) if until is not None and until.isdecimal() else None
    if until is not None and most is None:
        try:
            moment = datetime.fromisoformat(until)
        except ValueError:
            raise SettingsError(
                f"until is {until!r}, expected a number of events, or a time such as 2000-01-31T12:00:00Z"
            ) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        follower.stop_before(round(moment.timestamp() * 1000))
    while not follower.at_end:
        follower.read(0.2)
        follower.take(1 << 40 if most is None else most - follower.events)
        if follower.stopped or follower.events == most:
            return
    if most is not None:
        raise SettingsError(
            f"until is {until}, expected a position in the log, which has {follower.events:,} events so far"
        )
