"""Many tries: each by its seed, each a line of a results file, so that a campaign goes on where it was stopped."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np

from chaos.fault import Fault, Ground, Outcome
from chaos.run import References
from chaos.verdict import Finding
from chaos.victim import Server


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one seed of one fault. log: `embedded` or `kafka`. held: of its tries, 0 or all of them."""

    fault: str
    log: str
    promise: str
    seed: int
    tries: int
    struck: int
    held: int
    lost: int
    twice: int
    hung: int
    ended: str
    seconds: float
    what: str = ""


class HangError(Exception):
    """A try takes longer than its fault promises."""


def read_lines(path: Path) -> list[Line]:
    """Every line of a results file; a last one that was torn is left out."""
    if not path.exists():
        return []
    lines = []
    for raw in path.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            lines.append(msgspec.json.decode(raw, type=Line))
    return lines


class Campaign:
    """Tries faults, and appends to the results file `path`, where there is one.

    log: `embedded` or `kafka:HOST:PORT`. directory: for the runs; those that held leave nothing there. patience: times
    the time that a fault's try may take, for a machine that has other work.
    """

    def __init__(
        self,
        log: str,
        path: Path | None,
        directory: Path | None = None,
        module: str = "chaos.victim",
        patience: float = 1.0,
    ) -> None:
        self._log = log
        self._kind = log.partition(":")[0]
        self._path = path
        # The tries may be of another user, who must be let in.
        self._directory = Path(tempfile.mkdtemp(prefix="engram-chaos-", dir=directory))
        self._directory.chmod(0o755)
        self._module = module
        self._patience = patience
        self._server: Server | None = None
        self._references = References(self._directory)
        self._known = {(line.fault, line.log, line.seed): line for line in (read_lines(path) if path else [])}

    def server(self) -> Server:
        """The fork server, started when it is first needed."""
        if self._server is None:
            # Imports and kernels are no part of a try.
            left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
            self._server = Server(self._module)
            signal.setitimer(signal.ITIMER_REAL, left_s)
        return self._server

    def run(
        self, faults: Sequence[Fault], tries: int, say: Callable[[str], None] = lambda text: None
    ) -> list[Line]:
        """Try each fault with seeds 0, 1, ... until it was tried so often; seeds that are known are not tried again.

        Faults take turns. Returns the lines of these faults on this log.
        """
        wanted = {fault: tries for fault in faults if self._kind in fault.logs}
        seeds = dict.fromkeys(wanted, 0)
        done = dict.fromkeys(wanted, 0)
        lines: list[Line] = []
        while open_ones := [
            fault for fault in wanted if done[fault] < wanted[fault] and seeds[fault] < 4 * tries + 8
        ]:
            for fault in open_ones:
                seed = seeds[fault]
                seeds[fault] += 1
                line = self._known.get((fault.name, self._kind, seed))
                if line is None:
                    line = self._try(fault, seed)
                    self._append(line)
                    say(
                        f"{line.log}, {line.fault}, seed {seed}: {line.held}/{line.tries} {line.ended} {line.what}"
                    )
                done[fault] += line.tries
                lines.append(line)
        return lines

    def try_once(self, fault: Fault, seed: int) -> Line:
        """One seed of a fault; not written down."""
        return self._try(fault, seed)

    def _try(self, fault: Fault, seed: int) -> Line:
        directory = self._directory / f"try-{zlib.crc32(fault.name.encode()):08x}-{seed}"
        directory.mkdir()
        rng = np.random.default_rng([zlib.crc32(fault.name.encode()), zlib.crc32(self._kind.encode()), seed])
        ground = Ground(self._log, directory, seed, rng, self.server, self._references)
        started = time.monotonic()
        hung, within_s = 0, fault.within_s * self._patience
        try:
            with limited(within_s):
                outcome = fault.run(ground)
        except HangError:
            hung, outcome = 1, Outcome(1, 1, "hang", [Finding("other", f"not done in {within_s:g} s")])
        except Exception as error:
            trace = "".join(traceback.format_exception(error)[-3:])
            outcome = Outcome(1, 1, type(error).__name__, [Finding("other", trace)])
        kinds = [finding.kind for finding in outcome.findings]
        if not outcome.findings:
            shutil.rmtree(directory, ignore_errors=True)
        return Line(
            fault=fault.name,
            log=self._kind,
            promise=fault.promise,
            seed=seed,
            tries=outcome.tries,
            struck=outcome.struck,
            held=0 if outcome.findings else outcome.tries,
            lost=kinds.count("lost"),
            twice=kinds.count("twice"),
            hung=hung,
            ended=outcome.ended,
            seconds=round(time.monotonic() - started, 3),
            what="; ".join(finding.what for finding in outcome.findings[:3])[:2000],
        )

    def _append(self, line: Line) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """End the fork server; delete what right runs left."""
        if self._server is not None:
            self._server.close()
        if not any(self._directory.glob("try-*")):
            shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `HangError` in this, the main thread, when the block takes longer."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise HangError(f"not done in {seconds:g} s")

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def table(lines: Iterable[Line]) -> str:
    """Markdown: fault, log, promise, tries, held, lost, twice, hangs, the slowest try in seconds."""
    rows: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        rows.setdefault((line.fault, line.log), []).append(line)
    out = [
        "| fault | log | promised | tries | held | lost | twice | hangs | slowest, s |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    total = np.zeros(5, np.int64)
    for (fault, log), mine in rows.items():
        sums = np.array([[one.tries, one.held, one.lost, one.twice, one.hung] for one in mine]).sum(axis=0)
        total += sums
        slowest = max(one.seconds for one in mine)
        figures = " | ".join(f"{value:,}" for value in sums.tolist())
        out.append(f"| {fault} | {log} | {mine[0].promise} | {figures} | {slowest:.1f} |")
    figures = " | ".join(f"**{value:,}**" for value in total.tolist())
    return "\n".join([*out, f"| **all** | | | {figures} | |"])


def is_green(lines: Iterable[Line]) -> bool:
    """Whether everything that was tried held."""
    return all(line.held == line.tries for line in lines)
