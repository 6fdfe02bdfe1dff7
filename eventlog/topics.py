"""Topic names, and what each topic holds.

A deployment has a prefix (`engram` by default, one per run on replay), so that several runs share a broker.
"""

from __future__ import annotations

from typing import NamedTuple


class Topics(NamedTuple):
    """The topic names of one deployment.

    ratings: events, keyed by user; the log that everything else follows from.
    items, users: metadata, compacted, keyed by id.
    predictions: what each model said of each event before it learned it.
    dead_letters: events that cannot be used, with reason, source position and original bytes.
    models: versions of batch models that are ready, and what became of each in a learner.
    """

    ratings: str
    items: str
    users: str
    predictions: str
    dead_letters: str
    models: str

    @classmethod
    def with_prefix(cls, prefix: str) -> Topics:
        """Name the topics of the deployment `prefix` (letters, digits, `.`, `_`, `-`)."""
        return cls(*(f"{prefix}.{field.replace('_', '-')}" for field in cls._fields))

    def writing_to(self, prefix: str) -> Topics:
        """The same, but for what a learner writes: for a second one, that learns the same log anew beside the first."""
        other = Topics.with_prefix(prefix)
        return self._replace(predictions=other.predictions, dead_letters=other.dead_letters)

    def group(self, name: str) -> str:
        """Name of the group that reads the ratings: another one for learners that write elsewhere."""
        inputs, outputs = (topic.rpartition(".")[0] for topic in (self.ratings, self.predictions))
        return name if inputs == outputs else f"{name}-{outputs}"
