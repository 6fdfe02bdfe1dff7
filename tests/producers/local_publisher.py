"""A publisher on 127.0.0.1 that misbehaves as told: cuts connections, ignores ranges, gives wrong checksums."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from dataset_files import md5_of


@dataclass
class LocalPublisher:
    """Serves `archive` at any path, and `md5` (None: 404) at any path that ends in .md5.

    cuts: after how many body bytes each next connection for the archive is cut, then none is. ranges: "honoured",
    "ignored" (the whole archive, 200) or "shifted" (206, but not the range asked for). redirect: where requests for
    archives are sent. requests: (path, Range header or None) of each request.
    """

    archive: bytes
    md5: str | None = None
    cuts: list[int] = field(default_factory=list)
    ranges: str = "honoured"
    redirect: str | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.md5 is None:
            self.md5 = md5_of(self.archive)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The address of the folder of archives."""
        return f"http://127.0.0.1:{self._server.server_port}/files/"

    @property
    def archive_ranges(self) -> list[str | None]:
        """The Range headers of the requests for the archive, in order."""
        return [asked for path, asked in self.requests if not path.endswith(".md5")]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(publisher: LocalPublisher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            publisher.requests.append((self.path, asked))
            if self.path.endswith(".md5"):
                self._checksum()
            elif publisher.redirect:
                self.send_response(302)
                self.send_header("Location", publisher.redirect)
                self.end_headers()
            else:
                self._archive(asked)

        def _checksum(self) -> None:
            if not publisher.md5:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(publisher.md5.encode())

        def _archive(self, asked: str | None) -> None:
            total, start = len(publisher.archive), 0
            if asked and publisher.ranges != "ignored":
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if publisher.ranges == "shifted":
                    start -= 1
                if start >= total:
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            body = publisher.archive[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: publisher.cuts.pop(0)] if publisher.cuts else body)

    return Handler
