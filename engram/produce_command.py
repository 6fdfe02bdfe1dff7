"""`engram produce`: a data set into the ratings topic, in event-time order."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from engram import options
from engram.children import StopRequest, say, wait_for_word
from engram.options import settings_command
from engram.parts import build_replay, create_topics, open_log
from engram.services import WithParent, start_service
from engram.settings import Settings
from engram.source import find_folder, open_stream
from eventlog.errors import SettingsError
from eventlog.topics import Topics
from producers.replay import publish_metadata

# Hidden: for `engram replay`, which starts it beside the learner and lets it write when the learner is ready.
OnWord = Annotated[bool, typer.Option("--on-word", hidden=True)]
OwnPartitions = Annotated[
    str | None,
    typer.Option(
        metavar="N,N",
        help="Write these partitions only; other processes, started with the same settings, write the others.",
    ),
]


@settings_command(*options.SOURCE, *options.LOG, "log_format")
def produce(
    settings: Settings,
    own_partitions: OwnPartitions = None,
    with_parent: WithParent = False,
    on_word: OnWord = False,
) -> None:
    """Replay a data set into the ratings topic; started again, it goes on where the log's tail says."""
    own = None if own_partitions is None else _partition_numbers(own_partitions)
    start_service("producer", settings, for_people=with_parent)
    stop = StopRequest(with_parent=with_parent)
    stream = open_stream(settings, find_folder(settings))
    topics = Topics.with_prefix(settings.topic_prefix)
    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
        publish_metadata(log, topics, stream)
        replay = build_replay(settings, log, topics, stream, own)
        if on_word:
            say(ready=True)
            if not wait_for_word():
                return
        say(writing_since_s=time.time())
        while not stop and not replay.done:
            replay.step()
        replay.close()
    if replay.done:
        say(finished=True)


def _partition_numbers(text: str) -> list[int]:
    """Return [0, 2] of `0,2`. Raises `SettingsError`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise SettingsError(
            f"own-partitions is {text!r}, expected partition numbers separated by commas, as in 0,2"
        )
    return [int(part) for part in parts]
