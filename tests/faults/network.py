"""A TCP proxy in front of a broker: cuts, refuses, delays and slows what goes through it, from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 64 << 10


class Proxy:
    """Listens on 127.0.0.1 and passes everything on to `target`, a port there, which may be set later.

    delay_s: of each chunk, one way. bytes_per_s: of each direction of a connection, 0 for no limit. down: connections
    are refused, and those that are open are cut.
    """

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self._down = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Cut every connection, and refuse new ones, until `heal`."""
        self._down = True
        self._loop.call_soon_threadsafe(self._abort)

    def heal(self) -> None:
        """Let everything through again, at full speed."""
        self._down = False
        self.delay_s, self.bytes_per_s = 0.0, 0

    def close(self) -> None:
        """Cut everything and stop listening."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket))
        self._loop.run_forever()

    def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        self._open.add(writer)
        far = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(far)
            await asyncio.gather(self._pass(reader, far), self._pass(far_reader, writer))
        except OSError:
            pass
        finally:
            for one in (writer, far):
                if one is not None:
                    self._open.discard(one)
                    one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                wait_s = self.delay_s + (len(chunk) / self.bytes_per_s if self.bytes_per_s else 0.0)
                if wait_s:
                    await asyncio.sleep(wait_s)
                writer.write(chunk)
                await writer.drain()
        writer.close()
