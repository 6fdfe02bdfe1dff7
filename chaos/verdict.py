"""An independent reader: what is in the log, and whether predictions, dead letters and checkpoint say the same.

It shares no code with the learner: the truth is read by `chaos.truth`, and the histories and the counts are worked out
again in plain Python. Only the checkpoint's files are read by their own module, which
checks their sums.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from chaos.truth import Event, RawRecord, Truth, read_topic
from consumers.checkpoint import CheckpointStore
from eventlog.log import Log
from eventlog.topics import Topics

NEW_USER, NEW_ITEM, REPEAT = "new_user", "new_item", "repeat"
_FLAG_BITS = {1: REPEAT, 2: NEW_ITEM, 4: NEW_USER}


class Finding(NamedTuple):
    """Something wrong. kind: `lost`, `twice` (applied more than once) or `other`."""

    kind: str
    what: str


class State(NamedTuple):
    """What a learner must hold after some events."""

    users: dict[str, int]
    items: dict[str, int]
    histories: list[list[tuple[int, int]]]
    counts: list[int]
    flags: list[set[str]]


def state_after(events: Iterable[Event]) -> State:
    """Learn in plain Python: rows by first appearance, each (user, item) once."""
    state = State({}, {}, [], [], [])
    for event in events:
        flags = set()
        if event.user not in state.users:
            flags.add(NEW_USER)
            state.histories.append([])
        if event.item not in state.items:
            flags.add(NEW_ITEM)
            state.counts.append(0)
        user = state.users.setdefault(event.user, len(state.users))
        item = state.items.setdefault(event.item, len(state.items))
        if any(known == item for known, _ in state.histories[user]):
            flags.add(REPEAT)
        else:
            state.histories[user].append((item, event.time_ms))
            state.counts[item] += 1
        state.flags.append(flags)
    return state


def judge(
    log: Log, topics: Topics, checkpoints: Path, truth: Truth, *, complete: bool = True
) -> list[Finding]:
    """Compare what a learner left with the truth.

    complete: the learner is done; else it died, and what it left must be the truth of the events so far.
    """
    predicted, findings = _read_predictions(log, topics, complete)
    saved = CheckpointStore(checkpoints / "lane-0").load()
    learned = saved.meta["lane"]["learned"] if saved else 0
    if complete and learned != len(truth.events):
        findings.append(_count("events in the checkpoint", learned, len(truth.events)))
    if len(predicted) < learned:
        findings.append(Finding("lost", f"{len(predicted)} predictions, the checkpoint has {learned} events"))
    findings += _judge_predictions(predicted, truth, complete)
    letters, more = read_letters(log, topics, truth, complete)
    findings += more
    if saved:
        findings += judge_checkpoint(saved.arrays, saved.meta, truth, letters)
        if complete:
            findings += _judge_end(saved.meta, truth)
    for partition, offset in log.committed("engram-learner", topics.ratings).items():
        if saved is None or offset > saved.meta["intake"]["positions"][str(partition)][0]:
            findings.append(Finding("other", f"committed offset {offset} lies beyond the checkpoint"))
    return findings


Prediction = tuple[str | None, int, int, int, int | None, tuple[tuple[str, int], ...]]


def _read_predictions(log: Log, topics: Topics, complete: bool) -> tuple[list[Prediction], list[Finding]]:
    """Predictions by lane_seq, repeats dropped; findings where a repeat differs, or one is left out."""
    kept: list[Prediction] = []
    findings = []
    summary: dict[str, Any] | None = None
    for record in read_topic(log, topics.predictions):
        value = record.value or b""
        if value[:1] == b"{":
            summary = json.loads(value)
            continue
        block = msgspec.msgpack.decode(value)
        index = np.frombuffer(block["source_index"], np.int32)
        sources = [*block["sources"], None]
        columns = zip(
            [sources[i] for i in index.tolist()],
            np.frombuffer(block["source_seq"], np.int64).tolist(),
            np.frombuffer(block["event_time_ms"], np.int64).tolist(),
            np.frombuffer(block["flags"], np.uint8).tolist(),
            *[np.frombuffer(ranks, np.int32).tolist() for ranks in block["ranks"].values()],
            strict=True,
        )
        names = list(block["ranks"])
        for lane_seq, (source, seq, time_ms, flags, *ranks) in enumerate(columns, block["first_seq"]):
            ranked = tuple(zip(names, ranks, strict=True))
            mine: Prediction = (source, seq, time_ms, flags, block["total_events"], ranked)
            if lane_seq == len(kept):
                kept.append(mine)
            elif lane_seq > len(kept):
                findings.append(Finding("lost", f"lane_seq {len(kept)} to {lane_seq} have no prediction"))
                return kept, findings
            elif kept[lane_seq] != mine:
                findings.append(Finding("other", f"lane_seq {lane_seq}: {mine} repeats {kept[lane_seq]}"))
    if complete:
        findings += _judge_summary(summary, len(kept))
    return kept, findings


def _judge_summary(summary: dict[str, Any] | None, predicted: int) -> list[Finding]:
    if summary is None:
        return [Finding("other", "the lane ended without a summary")]
    terms = summary["accounting"]
    rest = terms["learned"] + terms["dead_lettered"] + terms["duplicate"] + terms["waiting"]
    findings = []
    if terms["accepted"] != rest or terms["waiting"] != 0:
        findings.append(Finding("other", f"the accounting does not add up: {terms}"))
    if summary["events"] != predicted:
        findings.append(_count("events in the summary", summary["events"], predicted))
    return findings


def _judge_predictions(predicted: list[Prediction], truth: Truth, complete: bool) -> list[Finding]:
    """Each event once, in order, with the right flags; keyed events are told by their time."""
    findings = []
    want = [(event.source, event.seq, event.time_ms) for event in truth.events]
    if not complete:
        want = want[: len(predicted)]
    have = [prediction[:3] for prediction in predicted]
    missing, extra = Counter(want) - Counter(have), Counter(have) - Counter(want)
    findings += [Finding("lost", f"no prediction of {one}") for one in list(missing)[:5]]
    findings += [Finding("twice", f"{one} is predicted once too often") for one in list(extra)[:5]]
    if not missing and not extra and have != want:
        at = next(i for i, (a, b) in enumerate(zip(have, want, strict=True)) if a != b)
        findings.append(Finding("other", f"lane_seq {at} is {have[at]}, expected {want[at]}"))
    expected = state_after(truth.events[: len(predicted)]).flags
    for at, (prediction, flags) in enumerate(zip(predicted, expected, strict=False)):
        said = {name for bit, name in _FLAG_BITS.items() if prediction[3] & bit}
        if said != flags:
            findings.append(Finding("other", f"lane_seq {at} has flags {said}, expected {flags}"))
            break
    return findings


def read_letters(
    log: Log, topics: Topics, truth: Truth, complete: bool
) -> tuple[dict[bytes, RawRecord], list[Finding]]:
    """Dead letters by key, repeats dropped."""
    kept: dict[bytes, RawRecord] = {}
    findings = []
    for record in read_topic(log, topics.dead_letters):
        first = kept.setdefault(record.key or b"", record)
        if first.value != record.value:
            findings.append(Finding("other", f"dead letter {record.key!r} repeats with another content"))
    findings += [Finding("other", f"{key!r} is no bad event") for key in kept.keys() - truth.bad.keys()]
    if complete:
        findings += [Finding("lost", f"no dead letter {key!r}") for key in truth.bad.keys() - kept.keys()]
    return kept, findings


def judge_checkpoint(
    arrays: dict[str, Any], meta: dict[str, Any], truth: Truth, letters: dict[bytes, RawRecord]
) -> list[Finding]:
    """The state is that of the first `learned` events, and its accounting adds up."""
    findings = []
    lane, intake = meta["lane"], meta["intake"]
    learned = lane["learned"]
    state = state_after(truth.events[:learned])
    for name, want_rows in (("users", state.users), ("items", state.items)):
        if _ids(arrays[f"{name}/heap"], arrays[f"{name}/ends"]) != list(want_rows):
            findings.append(Finding("other", f"{name} of the checkpoint differ from those of the events"))
    have = list(zip(arrays["history/items"].tolist(), arrays["history/times_ms"].tolist(), strict=True))
    ends = np.cumsum(arrays["history/length"]).tolist()
    histories = [have[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    findings += _more_or_less("history", [len(one) for one in histories], [len(o) for o in state.histories])
    if not findings and histories != state.histories:
        findings.append(Finding("other", "histories of the checkpoint differ from those of the events"))
    findings += _more_or_less("count", arrays["model/popularity/count"].tolist(), state.counts)
    dead = sum(lane["dead_lettered"].values())
    have_more = lane["repeats"], lane["clock_time_ms"]
    clock_ms = max((event.time_ms for event in truth.events[:learned]), default=0)
    want_more = sum(REPEAT in flags for flags in state.flags), clock_ms
    if have_more != want_more:
        findings.append(_count("repeats and clock of the checkpoint", have_more, want_more))
    if intake["accepted"] != learned + lane["duplicates"] + dead:
        findings.append(Finding("other", f"the accounting does not add up: {intake['accepted']} of {lane}"))
    if dead > sum(truth.bad[key] for key in letters if key in truth.bad):
        findings.append(Finding("lost", f"the checkpoint counts {dead} dead letters, more than published"))
    return findings


def _judge_end(meta: dict[str, Any], truth: Truth) -> list[Finding]:
    """Everything was read, and every event has its fate in the accounting."""
    lane, intake = meta["lane"], meta["intake"]
    positions = {int(partition): offset for partition, (offset, _) in intake["positions"].items()}
    findings = []
    if any(positions[partition] < end for partition, end in truth.ends.items()):
        findings.append(
            Finding("lost", f"the checkpoint stands at {positions}, the log ends at {truth.ends}")
        )
    more = sum(events for partition, offset, events in truth.afterwards if offset < positions[partition])
    have = intake["accepted"], lane["duplicates"], sum(lane["dead_lettered"].values())
    want = truth.declared + more, truth.duplicates + more, sum(truth.bad.values())
    if have != want:
        findings.append(_count("accepted, duplicate, dead-lettered", have, want))
    return findings


def _more_or_less(what: str, have: list[int], want: list[int]) -> list[Finding]:
    """Findings for the first row that has too many or too few."""
    if len(have) != len(want):
        return [_count(f"rows of {what}", len(have), len(want))]
    for row, (mine, wanted) in enumerate(zip(have, want, strict=True)):
        if mine != wanted:
            kind = "twice" if mine > wanted else "lost"
            return [Finding(kind, f"{what} of row {row} is {mine}, expected {wanted}")]
    return []


def _ids(heap: Any, ends: Any) -> list[str]:
    bounds = [0, *ends.tolist()]
    raw = heap.tobytes()
    return [raw[start:end].decode() for start, end in pairwise(bounds)]


def _count(what: str, have: object, want: object) -> Finding:
    return Finding("other", f"{what}: {have}, expected {want}")
