"""`engram app`: learner, API and web page in one command, on the embedded log, with a replay beside.

The API (with its learner and the replay) and the page are child processes. One that ends is started again: the learner
goes on from its checkpoint and the log, and the page goes on by itself.
"""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from engram.children import Child, StopRequest
from engram.demo_command import choose
from engram.options import settings_command
from engram.page_command import PagePort, check_installed
from engram.serve_command import ReplayOption
from engram.settings import Settings, child_environment, to_toml
from engram.source import find_source
from eventlog.errors import EngramError, SettingsError
from online_models.registry import DEFAULT_MODELS

_MODELS: Final = (*DEFAULT_MODELS, "wisard")  # the last for the mental image
_RATE: Final = 3_000.0
_CHECKPOINT_EVERY_S: Final = 60.0
_READY_TIMEOUT_S: Final = 1_800.0  # kernels are compiled, perhaps on a busy machine
_SAY_EVERY_S: Final = 60.0
_LOOK_S: Final = 0.1
_MOST_RESTARTS: Final = 5  # within
_RESTARTS_WITHIN_S: Final = 60.0

Out = Annotated[
    Path | None, typer.Option(help="Folder of log and checkpoints.", show_default="runs/app-DATASET")
]
ApiPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of the API (0: any free one).")]
Alone = Annotated[
    bool, typer.Option("--no-replay", help="No replay beside: learn what comes from the page alone.")
]


@settings_command("models", "params", "data_dir", "min_rating", "limit", "rate", "checkpoint_every_s")
def app(
    settings: Settings,
    replay: ReplayOption = None,
    no_replay: Alone = False,
    out: Out = None,
    port: PagePort = 8501,
    api_port: ApiPort = 0,
) -> None:
    """Rate films on a web page and watch it learn: learner, API, page, and a replay of MovieLens beside.

    Stopped with Ctrl-C, the same command goes on where it was.
    """
    check_installed()
    settings, said = _source(settings, replay, no_replay=no_replay)
    out = out or Path("runs") / f"app-{Path(settings.dataset or 'live').stem}"
    settings = msgspec.structs.replace(
        settings,
        models=settings.models or _MODELS,
        rate=settings.rate or _RATE,
        log_path=str(out / "log.sqlite"),
        checkpoint_dir=str(out / "checkpoints"),
        checkpoint_every_s=max(settings.checkpoint_every_s, _CHECKPOINT_EVERY_S),
    )
    _check_free(port)
    typer.echo(
        f"{said}\nlog and checkpoints: {out}\nstarting (the first time, kernels are compiled: a minute or two) ..."
    )
    running = _App(settings, out, port, api_port)
    try:
        running.run()
    finally:
        running.stop()


def _source(settings: Settings, replay: str | None, *, no_replay: bool) -> tuple[Settings, str]:
    """What is replayed beside: what is named, else the best that there is; and a sentence of it."""
    if no_replay:
        if replay is not None:
            raise SettingsError("--replay and --no-replay are both given, expected one of them")
        return settings, "NO REPLAY: ONLY WHAT COMES FROM THE PAGE"
    if replay is None:
        chosen, source = choose(settings)
        # All ratings, where none is asked for: dislikes are of a mental image, too.
        return msgspec.structs.replace(chosen, min_rating=settings.min_rating), source.description
    settings = msgspec.structs.replace(settings, dataset=replay)
    return settings, find_source(settings).description


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError(f"port is {port}, which is taken, expected a free one: --port N") from None


class _App:
    """The children, and what is done when one of them ends."""

    def __init__(self, settings: Settings, out: Path, port: int, api_port: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._config = out / "settings.toml"
        self._config.write_text(to_toml(settings), "utf-8")
        self._settings, self._out, self._port, self._api_port = settings, out, port, api_port
        self._stop = StopRequest()
        self._restarts: list[float] = []
        self._api: Child | None = None
        self._page: Child | None = None

    def run(self) -> None:
        """Start, say where the page is, and keep both running until asked to stop."""
        self._api = self._start_api()
        if not self._wait(lambda: self._api is not None and self._api.said("ready"), self._api):
            return
        self._api_port = int(self._api.said("port"))
        self._page = self._start_page()
        if not self._wait(lambda: _answers(f"http://127.0.0.1:{self._port}/_stcore/health"), self._page):
            return
        typer.echo(
            f"\n  Open  http://localhost:{self._port}\n\n"
            f"API: http://localhost:{self._api_port}/docs. Ctrl-C stops all; the same command goes on."
        )
        while not self._stop:
            if not self._api.running:
                self._api = self._again(self._api, self._start_api)
            if not self._page.running:
                self._page = self._again(self._page, self._start_page)
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Stop the page, then the API, which commits."""
        for child in (self._page, self._api):
            if child is not None:
                child.stop()

    def _again(self, ended: Child, start: Callable[[], Child]) -> Child:
        now_s = time.monotonic()
        self._restarts = [at for at in self._restarts if now_s - at < _RESTARTS_WITHIN_S] + [now_s]
        if len(self._restarts) > _MOST_RESTARTS:
            ended.check()
            raise EngramError(f"the {ended.name} ends again and again; see {ended.log_path}")
        typer.echo(f"the {ended.name} has ended and is started again (see {ended.log_path})")
        return start()

    def _wait(self, ready: Callable[[], object], child: Child) -> bool:
        """Whether it became ready, and not the stop before. Raises `EngramError` when it fails."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        say_at_s = time.monotonic() + _SAY_EVERY_S
        while not ready():
            if time.monotonic() > say_at_s:
                typer.echo(f"... the {child.name} is still starting")
                say_at_s += _SAY_EVERY_S
            if self._stop:
                return False
            child.check()
            if not child.running or time.monotonic() > deadline_s:
                raise EngramError(f"the {child.name} did not start; see {child.log_path}")
            time.sleep(_LOOK_S)
        return True

    def _start_api(self) -> Child:
        replay = ["--replay", self._settings.dataset] if self._settings.dataset is not None else []
        return self._start(
            "API", "serve", "--port", str(self._api_port), "--config", str(self._config), *replay
        )

    def _start_page(self) -> Child:
        where = f"http://127.0.0.1:{self._api_port}"
        return self._start("page", "page", "--port", str(self._port), "--api", where)

    def _start(self, name: str, *arguments: str) -> Child:
        log = self._out / "logs" / f"{name.lower()}.log"
        return Child(name, [*arguments, "--with-parent"], log, child_environment(self._settings))


def _answers(url: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=1) as said:
        return bool(said.status == 200)
    return False
