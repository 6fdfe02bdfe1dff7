"""`engram train MODEL`: train a batch model on the log so far, or again and again beside a learner (--watch)."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from typing import Annotated

import typer

from consumers.log_cut import LogFollower
from engram import options
from engram.children import StopRequest, say
from engram.options import settings_command
from engram.parts import create_topics, open_log
from engram.retraining import Retraining, Triggers, check_trainer
from engram.services import WithParent, start_service
from engram.settings import Settings
from engram.source import rating_limits, rating_scale
from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.model_registry import ModelRegistry
from eventlog.topics import Topics

Model = Annotated[str, typer.Argument(help="Batch model to train.", show_default=False)]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="POSITION|TIME",
        help="Train on the events before this one only: how many events, or a time (ISO 8601, UTC).",
        show_default="the log so far",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the log and train again and again.")]
Every = Annotated[int | None, typer.Option(min=1, help="With --watch: every so many events.")]
EveryHours = Annotated[
    float | None, typer.Option(min=0.001, help="With --watch: every so many hours of event time.")
]
OnDrift = Annotated[
    bool, typer.Option("--on-drift", help="With --watch: when a learner has noticed a drift.")
]
# Hidden: for `engram replay`, whose trainer ends with the stream.
UntilEnd = Annotated[bool, typer.Option("--until-end", hidden=True)]


@settings_command(
    *options.LOG,
    *("partitions", "merge", "seed", "registry", "rating_min", "rating_max"),
    *("max_future_s", "max_message_bytes", "log_format"),
)
def train(
    settings: Settings,
    model: Model,
    until: Until = None,
    watch: Watch = False,
    every: Every = None,
    every_hours: EveryHours = None,
    on_drift: OnDrift = False,
    until_end: UntilEnd = False,
    with_parent: WithParent = False,
) -> None:
    """Train a batch model on the log; store a version in the registry; announce it to the learners."""
    check_trainer(model)
    triggers = Triggers(every, every_hours, on_drift)
    if watch != any(triggers):
        raise SettingsError("expected --watch with at least one of --every, --every-hours and --on-drift")
    if watch and until is not None:
        raise SettingsError(f"until is {until!r}, expected no --until with --watch")
    topics = Topics.with_prefix(settings.topic_prefix)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open_log(settings))
        create_topics(log, topics, settings.partitions)
        retraining = build_retraining(settings, log, topics, model, triggers)
        stack.callback(retraining.close)
        if watch:
            start_service("trainer", settings, for_people=with_parent)
            _watch(retraining, StopRequest(with_parent=with_parent), until_end=until_end)
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
    settings: Settings, log: Log, topics: Topics, model: str, triggers: Triggers
) -> Retraining:
    """Make the trainer's parts from the settings."""
    limits, scale = rating_limits(settings), rating_scale(settings)
    follower = LogFollower(log, topics.ratings, merge=settings.merge, limits=limits, scale=scale)
    registry = ModelRegistry(settings.registry)
    return Retraining(log, topics, registry, follower, model, seed=settings.seed, triggers=triggers)


def _watch(retraining: Retraining, stop: StopRequest, *, until_end: bool) -> None:
    say(ready=True)
    while not stop and not (until_end and retraining.done):
        retraining.step(0.2)
    if until_end and retraining.done:
        say(finished=True)


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
