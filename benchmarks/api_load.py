"""Load on `engram serve`: recommendations at a steady rate while events flow in, and how soon an event counts.

Run: python -m benchmarks.api_load [--data-dir DIR] [--seconds N] [--requests N] [--events N]

The server is a process of its own over the embedded log, taught MovieLens 100K first where there is a data folder. The
generator is this process, on the same cores: its own processor time is printed. Requests are sent when they are due,
whether or not earlier ones were answered (an open loop), and a latency counts from when the request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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

    async def _with_connection(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = Connection()
            await connection.open(self._port)
        answer = await connection.ask(method, path, body)
        self._idle.append(connection)
        return answer

    async def read(self, due_s: float) -> None:
        """Ask for a list."""
        user = int(self._random.integers(1, _USERS + 1))
        status, _ = await self._with_connection("GET", f"/v1/users/{user}/recommendations?k=10")
        self.read_s.append(time.perf_counter() - due_s)
        self.failures += status != 200

    async def write(self, due_s: float, events: int) -> None:
        """Send a body of events."""
        drawn = self._random.integers(1, [_USERS + 1, _ITEMS + 1, 6], (events, 3)).tolist()
        sent = [{"user": str(u), "item": str(i), "rating": float(r)} for u, i, r in drawn]
        status, _ = await self._with_connection("POST", "/v1/events", json.dumps({"events": sent}).encode())
        self.write_s.append(time.perf_counter() - due_s)
        self.failures += status != 202

    async def change(self, number: int) -> None:
        """Send one event of a user of its own, and read the list that has learned it, from its acceptance on."""
        event = {"user": f"new-{number}", "item": str(1 + number % _ITEMS), "rating": 5.0}
        status, body = await self._with_connection("POST", "/v1/events", json.dumps(event).encode())
        accepted_s = time.perf_counter()
        if status != 202:
            self.failures += 1
            return
        position = json.loads(body)["position"]
        path = f"/v1/users/new-{number}/recommendations?k=10&after={position}"
        status, body = await self._with_connection("GET", path)
        self.changed_s.append(time.perf_counter() - accepted_s)
        self.failures += status != 200 or json.loads(body)["user_events"] != 1

    async def run(self, seconds: float, requests: int, events: int, body: int) -> None:
        """Send everything when it is due."""
        start_s = time.perf_counter()
        tasks: list[asyncio.Task[None]] = []
        plan = [(n / requests, "read") for n in range(int(seconds * requests))]
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


def quantiles(name: str, seconds: list[float], goal_ms: float | None = None) -> str:
    """One line of a latency."""
    if not seconds:
        return f"{name:<40} none"
    p50, p99 = (1000 * np.quantile(seconds, (0.5, 0.99))).tolist()
    goal = "" if goal_ms is None else f"   goal: p99 < {goal_ms:g} ms"
    return f"{name:<40} n {len(seconds):>7,}   p50 {p50:8.2f} ms   p99 {p99:8.2f} ms{goal}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=500, help="recommendations a second")
    parser.add_argument("--events", type=int, default=5_000, help="events a second, beside")
    parser.add_argument("--body", type=int, default=100, help="events in a body")
    parser.add_argument("--model", default="hebbian")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        log = ["--log-path", str(folder / "log.sqlite")]
        if arguments.data_dir is not None:
            data = ["ml-100k", "--data-dir", str(arguments.data_dir)]
            subprocess.run(
                [sys.executable, "-m", "engram", "produce", *data, *log], check=True, capture_output=True
            )
        command = [sys.executable, "-m", "engram", "serve", "--port", "0", "--model", arguments.model, *log]
        command += ["--rating-min", "1", "--rating-max", "5", "--checkpoint-dir", str(folder / "checkpoints")]
        command += ["--checkpoint-every-s", "3600", "--checkpoint-every", "10000000"]
        with (folder / "serve.log").open("wb") as said:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
            assert server.stdout is not None
            load = Load(json.loads(server.stdout.readline())["port"])

            async def everything() -> float:
                while (await load._with_connection("GET", "/readyz"))[0] != 200:
                    await asyncio.sleep(0.2)
                while not json.loads((await load._with_connection("GET", "/v1/users/1"))[1])["known"]:
                    if arguments.data_dir is None:
                        break
                    await asyncio.sleep(0.5)
                await load.run(2.0, arguments.requests, arguments.events, arguments.body)  # warm
                load.read_s, load.write_s, load.changed_s = [], [], []
                used_s = time.process_time()
                await load.run(arguments.seconds, arguments.requests, arguments.events, arguments.body)
                return time.process_time() - used_s

            try:
                used_s = asyncio.run(everything())
            finally:
                server.terminate()
                server.wait(60)
    print(
        f"{arguments.requests} recommendations and {arguments.events:,} events a second, {arguments.seconds:g} s"
    )
    print(quantiles("recommendations", load.read_s, 5.0))
    print(quantiles(f"bodies of {arguments.body} events, durable", load.write_s))
    print(quantiles("accepted event to changed list", load.changed_s, 10.0))
    print(f"failures {load.failures}; the generator used {used_s / arguments.seconds:.0%} of a core")


if __name__ == "__main__":
    main()
