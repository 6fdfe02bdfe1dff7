"""Every error that Engram raises on purpose, in one tree.

::

    EngramError
    ├── SettingsError            a setting has a bad value (names it, the value, what was expected)
    ├── DataError                a data set cannot be used
    │   ├── DataFormatError      a line is malformed (names file, line, field, value)
    │   ├── DataMissingError     no source has the data set (lists what was tried)
    │   └── ChecksumError        bytes differ from the publisher's checksum
    ├── OwnedError               another process owns a run's folder or a lane's checkpoints
    ├── EventError               an event is invalid (carries the dead-letter reason)
    ├── LogError                 the log refused or lost contact
    │   ├── TopicMissingError    the topic does not exist
    │   ├── OffsetGoneError      an offset is outside what the log retains
    │   └── BrokerError          the broker could not be reached or started
    ├── ArtefactError            an artefact of a batch model cannot be used (its `reason`)
    │   ├── ArtefactTornError        a file of it is missing
    │   ├── ArtefactCorruptError     bytes differ from the manifest, or the manifest is no manifest
    │   ├── ArtefactNewerError       written by a newer version of Engram
    │   └── ArtefactMismatchError    of another kind, shape or rating scale than its reader takes
    ├── PredictionsError         the predictions topic contradicts itself or its reader (names lane and lane_seq)
    └── CheckpointError          a checkpoint cannot be used
        ├── CheckpointCorruptError   bytes differ from the manifest
        ├── CheckpointNewerError     written by a newer version of Engram
        ├── FencedError              another learner has become the owner of the lane
        ├── CheckpointMismatchError  written for another configuration or partition count
        └── CheckpointBehindError    the log holds what its learner has not learned and then never would
"""

from __future__ import annotations


class EngramError(Exception):
    """Base of every error that Engram raises on purpose."""


class SettingsError(EngramError):
    """A setting has a value that cannot be used."""


class DataError(EngramError):
    """A data set cannot be used."""


class DataFormatError(DataError):
    """A line of a data file is malformed: names file, line, field, value and what was expected."""

    def __init__(self, path: object, line: int, field: str, value: object, expected: str) -> None:
        super().__init__(f"{path}, line {line}: {field} is {value!r}, expected {expected}")
        self.path = path
        self.line = line
        self.field = field
        self.value = value
        self.expected = expected


class DataMissingError(DataError):
    """No source has the data set; the message lists what was tried."""


class ChecksumError(DataError):
    """Bytes differ from the publisher's checksum."""


class OwnedError(EngramError):
    """Another process owns what this one needs for itself."""


class EventError(EngramError):
    """An event is invalid; `reason` is a `eventlog.deadletter.Reason`, and goes with it to the dead letters."""

    def __init__(self, reason: object, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class LogError(EngramError):
    """The log refused a request or lost contact."""


class TopicMissingError(LogError):
    """The topic does not exist."""


class OffsetGoneError(LogError):
    """An offset is outside the range that the log retains."""


class BrokerError(LogError):
    """The Kafka broker could not be reached or started."""


class ArtefactError(EngramError):
    """An artefact of a batch model cannot be used; `reason` says why in one word, for a metric's label."""

    reason = "unusable"


class ArtefactTornError(ArtefactError):
    """A file of the artefact is missing, its manifest too where it was never finished."""

    reason = "torn"


class ArtefactCorruptError(ArtefactError):
    """The artefact's bytes differ from its manifest, or the manifest is none."""

    reason = "corrupt"


class ArtefactNewerError(ArtefactError):
    """The artefact was written by a newer version of Engram."""

    reason = "newer"


class ArtefactMismatchError(ArtefactError):
    """The artefact is of another kind, shape or rating scale than its reader takes."""

    reason = "mismatch"


class PredictionsError(EngramError):
    """The predictions topic contradicts itself or what its reader expects: a gap, other models, a bad block."""


class CheckpointError(EngramError):
    """A checkpoint cannot be used."""


class CheckpointCorruptError(CheckpointError):
    """A checkpoint's bytes differ from its manifest."""


class CheckpointNewerError(CheckpointError):
    """A checkpoint was written by a newer version of Engram."""


class FencedError(CheckpointError):
    """Another learner has become the owner of the lane since."""


class CheckpointMismatchError(CheckpointError):
    """A checkpoint was written for another configuration or partition count."""


class CheckpointBehindError(CheckpointError):
    """The log holds events that the checkpoint's learner has not learned, and would not learn any more."""
