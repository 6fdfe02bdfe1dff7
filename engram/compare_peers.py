"""Peers in a comparison: the task is written, the peer's own interpreter answers, and our evaluator measures the ranks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.versions import versions
from engram.compare_ranks import Ranks, last_70, rows_in_order
from engram.settings import Settings
from engram.source import find_source, open_stream
from evaluation.prequential import PrequentialRanking
from evaluation.ranking import ranking_figures
from evaluation.rating import PrequentialRating, rating_figures_of
from eventlog.errors import EngramError, SettingsError
from eventlog.metadata import ItemMetadata
from peers.catalogue import ENVIRONMENTS, PEERS
from peers.files import CALL_LIKES, RANK_EVENTS, Answer, Task, read_answer, write_task
from peers.install import interpreter, why_not
from producers.columns import RatingColumns

LIMIT_S: Final = 3_600.0
_TAIL_LINES: Final = 3
_LIKE_FROM: Final = 0.75  # of the scale, as in protocol R
_NOTHING: Final = np.zeros(0, np.uint8)
# One core each, as ours.
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Interpreters(NamedTuple):
    """Where each environment's Python is; folder: of environments made by `peers.install`. named: others, by name."""

    folder: Path
    named: dict[str, Path]

    def find(self, peer: str) -> tuple[str, str]:
        """Return (interpreter, '') of a peer, or ('', why there is none)."""
        environment = PEERS[peer].environment
        if environment in self.named:
            return str(self.named[environment]), ""
        reason = why_not(self.folder, environment)
        return ("", reason) if reason else (str(interpreter(self.folder, environment).absolute()), "")


def parse_interpreters(folder: Path, named: list[str]) -> Interpreters:
    """Read `ENVIRONMENT=PATH` texts. Raises `SettingsError` for an environment or a file that there is not."""
    found = {}
    for text in named:
        name, _, path = text.partition("=")
        if name not in ENVIRONMENTS:
            raise SettingsError(
                f"peer-python is {text!r}, expected NAME=PATH with a name of {', '.join(ENVIRONMENTS)}"
            )
        if not Path(path).is_file():
            raise SettingsError(f"peer-python is {text!r}, expected a file; there is none")
        found[name] = Path(path).absolute()
    return Interpreters(folder, found)


def choose_peers(named: list[str]) -> tuple[str, ...]:
    """Return the peers named, `all` for every one that runs on a stream. Raises `SettingsError` for another name."""
    on_streams = [name for name, peer in PEERS.items() if peer.protocol in {RANK_EVENTS, CALL_LIKES}]
    chosen = on_streams if "all" in named else named
    for name in chosen:
        if name not in on_streams:
            raise SettingsError(f"peer is {name!r}, expected all or one of {', '.join(on_streams)}")
    return tuple(dict.fromkeys(chosen))


def stream_task(
    columns: RatingColumns, items: list[ItemMetadata], protocol: str, scale: tuple[float, float], seed: int
) -> Task:
    """Make the task of a stream; bits are those of our own `wisard`'s retina (see `engram.retina_bits`)."""
    user, users = rows_in_order(columns.users)
    item, item_count = rows_in_order(columns.items)
    bits: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
    like = _NOTHING
    if protocol == CALL_LIKES:
        from engram.retina_bits import retina_bits

        bits = retina_bits(columns, items, scale)
        like = (columns.ratings >= scale[0] + _LIKE_FROM * (scale[1] - scale[0])).astype(np.uint8)
    return Task(
        protocol,
        seed,
        users,
        item_count,
        user,
        item,
        columns.ratings,
        columns.event_time_ms,
        bits,
        like,
        np.zeros(0, np.int32),
    )


def ask_peer(peer: str, python: str, task: Task, folder: Path, limit_s: float = LIMIT_S) -> Answer:
    """Let a peer's interpreter answer a task. Raises `EngramError` that says why it did not."""
    entry = PEERS[peer]
    package = folder / "path" / "peers"
    package.parent.mkdir(parents=True, exist_ok=True)
    if not package.exists():
        # Of what is ours it sees this package alone.
        package.symlink_to(Path(__file__).parent.parent / "peers", target_is_directory=True)
    task_path, answer_path = folder / "task.npz", folder / "answer.npz"
    write_task(task_path, task)
    command = [
        python,
        *("-m", f"peers.programs.{entry.program}"),
        *(str(task_path.absolute()), str(answer_path.absolute()), entry.model),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(package.parent.absolute()), **dict.fromkeys(_ONE_THREAD, "1")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            cwd=folder,
            env=environment,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        said = (
            f"did not end within {limit_s:g} s"
            if isinstance(error, subprocess.TimeoutExpired)
            else str(error)
        )
        raise EngramError(f"{peer} {said}") from None
    if done.returncode:
        tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_TAIL_LINES:]
        raise EngramError(f"{peer} ended with exit code {done.returncode}: {' '.join(tail)}")
    try:
        return read_answer(answer_path, task)
    except (OSError, ValueError, KeyError) as error:
        raise EngramError(f"{peer} answered with what is no answer: {error}") from None


def run_peer(settings: Settings, peer: str, python: str, folder: Path) -> tuple[dict[str, Any], Ranks | None]:
    """Measure a peer on the stream of the settings: what `run_inline` returns of it, and its ranks where it ranks.

    Where the peer fails, the measured `result` is None and `reason` says why.
    """
    source = find_source(settings)
    stream = open_stream(settings, source.folder)
    columns = stream.block(0, stream.total_events)
    scale = (stream.rating_min, stream.rating_max)
    task = stream_task(columns, list(stream.items()), PEERS[peer].protocol, scale, settings.seed)
    started = time.monotonic()
    try:
        answer = ask_peer(peer, python, task, folder)
    except EngramError as error:
        return {"peak_memory_bytes": None, "result": None, "reason": str(error)}, None
    seconds = time.monotonic() - started
    events = len(task.user)
    model = {
        "last_70": None,
        "beyond": None,
        "rating": None,
        "rating_last_70": None,
        "events_per_second": events / answer.seconds if answer.seconds else None,
        "state_bytes": answer.state_bytes or None,
        "config": answer.about,
    }
    ranks = None
    if task.protocol == RANK_EVENTS:
        model["last_70"] = measure_ranks(task, answer.said)
        ranks = last_70(answer.said, task.user)
    else:
        rating = PrequentialRating((), (peer,))
        first = 3 * events // 10
        rating.update(columns.ratings, {}, scale, first, {peer: answer.said})
        found = rating_figures_of([rating])[peer]
        model["rating"], model["rating_last_70"] = found["all"], found["last_70"]
    result = {
        "models": {peer: model},
        "events": events,
        "events_per_second": events / seconds,
        "seconds": seconds,
        "seed": settings.seed,
        "tie_rule": settings.tie_order,
        "tie_ranking": "against",
        "data_digest": stream.digest(),
        "digest": hashlib.sha256(np.ascontiguousarray(answer.said).data).hexdigest(),
        "versions": versions(),
    }
    return {"peak_memory_bytes": answer.peak_memory_bytes or None, "result": result}, ranks


def measure_ranks(task: Task, said: NDArray[np.int32]) -> dict[str, float] | None:
    """Figures of the last 70 %, by the evaluator of every replay."""
    known = np.maximum.accumulate(np.concatenate([[-1], task.item[:-1]]))
    pairs = task.user.astype(np.int64) * task.items + task.item
    first = np.zeros(len(pairs), np.bool_)
    first[np.unique(pairs, return_index=True)[1]] = True
    new_user = np.zeros(len(pairs), np.bool_)
    new_user[np.unique(task.user, return_index=True)[1]] = True
    evaluator = PrequentialRanking(("peer",))
    evaluator.update(
        {"peer": said},
        event_time_ms=task.time_ms,
        repeat=~first,
        new_item=task.item > known,
        new_user=new_user,
        total_events=len(said),
    )
    counted = evaluator.last_70
    return None if counted is None else ranking_figures(counted[0])
