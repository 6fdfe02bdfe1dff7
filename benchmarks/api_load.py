"""Load on `engram serve`: recommendations at a steady rate while events flow in, and how soon an event counts.

Run: python -m benchmarks.api_load [--data-dir DIR] [--seconds N] [--requests N ...] [--events N ...] [--model NAME]

The server's processes run over the embedded log, taught MovieLens 100K first where there is a data folder. The
generator is this process, on the same cores: its own processor time is printed beside theirs. Requests are sent when
they are due, whether or not earlier ones were answered (an open loop), and a latency counts from when the request was due.
Users, items and stars are drawn evenly, so hardly a user comes twice in a row, and more and more events are of pairs that
were there before: no model can keep what it knows of a user at hand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

_USERS = 943
_ITEMS = 1_682


class Connection:
    """One HTTP/1.1 connection, kept alive: no more of the protocol than this needs."""

    async def open(self, port: int) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request; return status and body."""
        head = f"{method} {path} HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        length = next(
            int(line.split(b":")[1])
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return status, await self._reader.readexactly(length)


class Load:
    """Latencies, in seconds, of what was asked; and what was not answered well."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self.read_s: list[float] = []
        self.write_s: list[float] = []
        self.changed_s: list[float] = []
        self.failures = 0
        self._random = np.random.default_rng(0)
        self._name = secrets.token_hex(4)  # of users that nobody has heard of

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request over a connection that is idle, or a new one."""
        connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = Connection()
            await connection.open(self._port)
        answer = await connection.ask(method, path, body)
        self._idle.append(connection)
        return answer

    async def server_cpu_s(self) -> float:
        """Processor time that the server says it has used, all its processes together."""
        _, said = await self.ask("GET", "/metrics")
        return sum(
            float(line.split()[1])
            for line in said.decode().splitlines()
            if line.startswith("process_cpu_seconds_total")
        )

    async def read(self, due_s: float) -> None:
        """Ask for a list."""
        user = int(self._random.integers(1, _USERS + 1))
        status, _ = await self.ask("GET", f"/v1/users/{user}/recommendations?k=10")
        self.read_s.append(time.perf_counter() - due_s)
        self.failures += status != 200

    async def write(self, due_s: float, events: int) -> None:
        """Send a body of events."""
        drawn = self._random.integers(1, [_USERS + 1, _ITEMS + 1, 6], (events, 3)).tolist()
        sent = [{"user": str(u), "item": str(i), "rating": float(r)} for u, i, r in drawn]
        status, _ = await self.ask("POST", "/v1/events", json.dumps({"events": sent}).encode())
        self.write_s.append(time.perf_counter() - due_s)
        self.failures += status != 202

    async def change(self, number: int) -> None:
        """Send one event of a user of its own, and read the list that has learned it, from its acceptance on."""
        user = f"new-{self._name}-{number}"
        event = {"user": user, "item": str(1 + number % _ITEMS), "rating": 5.0}
        status, body = await self.ask("POST", "/v1/events", json.dumps(event).encode())
        accepted_s = time.perf_counter()
        if status != 202:
            self.failures += 1
            return
        position = json.loads(body)["position"]
        path = f"/v1/users/{user}/recommendations?k=10&after={position}"
        status, body = await self.ask("GET", path)
        self.changed_s.append(time.perf_counter() - accepted_s)
        self.failures += status != 200 or json.loads(body)["user_events"] != 1

    async def run(self, seconds: float, requests: int, events: int, body: int) -> None:
        """Send everything when it is due."""
        start_s = time.perf_counter()
        tasks: list[asyncio.Task[None]] = []
        plan = [(n / requests, "read") for n in range(int(seconds * requests))] if requests else []
        plan += [(n * body / events, "write") for n in range(int(seconds * events / body))] if events else []
        plan += [(n / 10, "change") for n in range(int(seconds * 10))]
        for number, (at_s, kind) in enumerate(sorted(plan)):
            due_s = start_s + at_s
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            if kind == "read":
                tasks.append(asyncio.create_task(self.read(due_s)))
            elif kind == "write":
                tasks.append(asyncio.create_task(self.write(due_s, body)))
            else:
                tasks.append(asyncio.create_task(self.change(number)))
        await asyncio.gather(*tasks)


class Cell(NamedTuple):
    """One load: recommendations and events a second."""

    requests: int
    events: int


class Seen(NamedTuple):
    """What a load was answered with. server, generator: share of a core that each used."""

    cell: Cell
    load: Load
    server: float
    generator: float


def quantiles_ms(seconds: list[float]) -> str:
    """p50, p99 and the longest."""
    if not seconds:
        return f"{'-':>26}"
    p50, p99, longest = (1000 * np.quantile(seconds, (0.5, 0.99, 1.0))).tolist()
    return f"{p50:8.2f} {p99:8.2f} {longest:8.1f}"


def row(seen: Seen) -> str:
    """One line of the table."""
    cell, load = seen.cell, seen.load
    latencies = "  ".join(quantiles_ms(of) for of in (load.read_s, load.changed_s, load.write_s))
    used = f"{seen.server:7.0%} {seen.generator:9.0%}"
    return f"{cell.requests:>6} {cell.events:>6}  {latencies}  {used} {load.failures:>8}"


HEADER = f"""{"":14} {"recommendations, ms":>26}  {"event to list, ms":>26}  {"bodies, durable, ms":>26}  {"of a core":>17}
{"req/s":>6} {"ev/s":>6}  {"  ".join([f"{'p50':>8} {'p99':>8} {'max':>8}"] * 3)}  {"server":>7} {"generator":>9} {"failures":>8}"""


async def measure(port: int, cell: Cell, seconds: float, body: int) -> Seen:
    """Put one load on the server, after two seconds of it that do not count."""
    warm, load = Load(port), Load(port)
    await warm.run(2.0, cell.requests, cell.events, body)
    began_s, server_s, own_s = time.perf_counter(), await load.server_cpu_s(), time.process_time()
    await load.run(seconds, cell.requests, cell.events, body)
    own_s, took_s = time.process_time() - own_s, time.perf_counter() - began_s
    server_s = await load.server_cpu_s() - server_s
    return Seen(cell, load, server_s / took_s, own_s / took_s)


async def taught(load: Load, *, from_data: bool) -> None:
    """Wait until the server answers, and has learned what there is."""
    while (await load.ask("GET", "/readyz"))[0] != 200:
        await asyncio.sleep(0.2)
    learned = -1
    while from_data:
        before, learned = (
            learned,
            json.loads((await load.ask("GET", "/v1/catalogue"))[1])["learned_events"],
        )
        if learned == before > 0:
            break
        await asyncio.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--requests", type=int, nargs="+", default=[500], help="recommendations a second")
    parser.add_argument("--events", type=int, nargs="+", default=[5_000], help="events a second, beside")
    parser.add_argument("--body", type=int, default=100, help="events in a body")
    parser.add_argument("--model", action="append", help="repeatable; default: as `engram serve` has it")
    parser.add_argument("--param", action="append", default=[], help="of a model, as `engram serve` takes it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        log = ["--log-path", str(folder / "log.sqlite")]
        if arguments.data_dir is not None:
            data = ["ml-100k", "--data-dir", str(arguments.data_dir)]
            subprocess.run(
                [sys.executable, "-m", "engram", "produce", *data, *log], check=True, capture_output=True
            )
        command = [sys.executable, "-m", "engram", "serve", "--port", "0", *log]
        command += ["--rating-min", "1", "--rating-max", "5", "--checkpoint-dir", str(folder / "checkpoints")]
        command += ["--checkpoint-every-s", "3600", "--checkpoint-every", "10000000"]
        for option, values in (("--model", arguments.model or []), ("--param", arguments.param)):
            for value in values:
                command += [option, value]
        with (folder / "serve.log").open("wb") as said:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
            assert server.stdout is not None
            try:
                first = server.stdout.readline()
                if not first:
                    parser.exit(1, (folder / "serve.log").read_text("utf-8"))
                port = json.loads(first)["port"]

                async def everything() -> None:
                    await taught(Load(port), from_data=arguments.data_dir is not None)
                    print(HEADER, flush=True)
                    for requests in arguments.requests:
                        for events in arguments.events:
                            cell = Cell(requests, events)
                            print(
                                row(await measure(port, cell, arguments.seconds, arguments.body)), flush=True
                            )

                asyncio.run(everything())
            finally:
                server.terminate()
                server.wait(60)
    print("goals at 500 and 5,000: recommendations p99 < 5 ms, event to list p99 < 10 ms")


if __name__ == "__main__":
    main()
