"""`engram page`: the web page alone, over an API that runs elsewhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from engram.services import WithParent
from eventlog.errors import SettingsError
from serving.page.address import DEFAULT_URL, URL_VARIABLE

_NEEDED: Final = ("streamlit", "plotly", "httpx", "fastapi", "uvicorn")
_PARENT_LOOK_S: Final = 0.5
_BLUE, _LIGHT_BLUE = "#1a6fb5", "#5ab1ef"

PagePort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")]
PageAddress = Annotated[str, typer.Option(help="Address that the page listens on.")]


def page(
    api: Annotated[
        str, typer.Option(envvar=URL_VARIABLE, help="Address of the API; a key is read from ENGRAM_API_KEY.")
    ] = DEFAULT_URL,
    port: PagePort = 8501,
    address: PageAddress = "127.0.0.1",
    with_parent: WithParent = False,
) -> None:
    """Serve the web page over an API (`engram serve`); `engram app` starts both."""
    check_installed()
    os.environ[URL_VARIABLE] = api
    if with_parent:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    from streamlit.web.cli import main

    found = find_spec("serving.page.main")
    assert found is not None and found.origin is not None
    options = {
        "server.port": str(port),
        "server.address": address,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",
        "theme.light.primaryColor": _BLUE,
        "theme.dark.primaryColor": _LIGHT_BLUE,
    }
    arguments = ["run", found.origin, *(f"--{name}={value}" for name, value in options.items())]
    main(arguments, standalone_mode=False)


def check_installed() -> None:
    """Raise `SettingsError` with the way out where something that the page needs is missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f'{", ".join(missing)} is not installed; to have it: make app, or pip install "engram-stream[page]"'
        )


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
