"""`engram offsets`: what each partition of a deployment holds, and how far the learner has come."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from consumers.learner import GROUP
from engram import options
from engram.deployment import RunOption, open_deployment, settings_of
from engram.options import settings_command
from engram.parts import topics_of
from engram.settings import Settings
from eventlog.errors import TopicMissingError


@settings_command(*options.LOG, "output_prefix")
def offsets(settings: Settings, run: RunOption = None) -> None:
    """Show topics, partitions, offsets, and the learner's lag; lag is in messages, and as of its last checkpoint."""
    settings = settings_of(settings, run)
    group = topics_of(settings).group(GROUP)
    table = Table("topic", "partition", "begin", "end", group, "lag")
    with open_deployment(settings) as (log, topics):
        there = [topic for topic in topics if topic in log.topics()]
        if not there:
            raise TopicMissingError(
                f"topic_prefix is {settings.topic_prefix!r}, expected that of a deployment; the log has no topic of it"
            )
        for topic in there:
            committed = log.committed(group, topic) if topic == topics.ratings else None
            for partition, (begin, end) in sorted(log.bounds(topic).items()):
                read = "" if committed is None else f"{committed.get(partition, begin):,}"
                lag = "" if committed is None else f"{end - committed.get(partition, begin):,}"
                table.add_row(topic, str(partition), f"{begin:,}", f"{end:,}", read, lag)
    console = Console(soft_wrap=True)
    console.width = max(console.width, 120)
    console.print(table)
