"""`engram serve`: the HTTP API of a live learner: this process takes requests, and starts one that learns and one that evaluates."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from engram import options
from engram.children import StopRequest, say, settle_memory
from engram.options import settings_command
from engram.parts import announce_target
from engram.services import WithParent, start_service
from engram.settings import Settings
from eventlog.errors import SettingsError

if TYPE_CHECKING:
    from serving.parts import Serving

_log = logging.getLogger(__name__)

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the API (0: any free one).")]
Address = Annotated[str, typer.Option(help="Address that the API listens on; 0.0.0.0 in a container.")]
KeyFile = Annotated[
    Path | None, typer.Option("--api-keys", help="File of SHA-256 hashes of API keys, one a line.")
]
NoKeys = Annotated[
    bool,
    typer.Option(
        "--no-keys", help="Answer whoever can reach the address: for a network that others cannot enter."
    ),
]
Rate = Annotated[
    float, typer.Option("--requests-per-second", min=0, help="Requests a second of one caller; 0: no limit.")
]
Origin = Annotated[
    list[str] | None, typer.Option("--origin", help="Origin that browsers may call from; repeatable.")
]
Own = Annotated[
    list[int] | None,
    typer.Option("--own", help="Partition that this instance learns, of several; repeatable. Default: all."),
]
Peer = Annotated[
    list[str] | None,
    typer.Option("--peer", metavar="URL=P,P", help="Who learns other partitions: callers are sent there."),
]
_TURN_S = 0.0002
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


ReplayOption = Annotated[
    str | None,
    typer.Option(
        "--replay", metavar="DATASET", help="Replay this data set beside, as `engram produce` would."
    ),
]
SERVE_SETTINGS = (
    *options.LOG,
    *options.LEARNING,
    "output_prefix",
    "merge",
    "partitions",
    "seed",
    "checkpoint_dir",
    "data_dir",
    "min_rating",
    "limit",
    "rate",
    "metrics_targets",
    "log_format",
)


@settings_command(*SERVE_SETTINGS)
def serve(
    settings: Settings,
    port: Port = 8000,
    address: Address = "127.0.0.1",
    api_keys: KeyFile = None,
    no_keys: NoKeys = False,
    requests_per_second: Rate = 0.0,
    origin: Origin = None,
    own: Own = None,
    peer: Peer = None,
    replay: ReplayOption = None,
    with_parent: WithParent = False,
) -> None:
    """Learn the ratings topic live, and answer over HTTP: send events, read recommendations (docs at /docs)."""
    uvicorn = _uvicorn()
    from engram.serving_parts import Access, serving_of
    from serving.access import Keys, read_keys
    from serving.api import build_app
    from serving.owners import read_owners

    keys = read_keys(api_keys) if api_keys is not None else Keys()
    if keys.needed and no_keys:
        raise SettingsError("--api-keys and --no-keys are both given, expected one of them")
    if not keys.needed and not no_keys and address not in _LOCAL:
        raise SettingsError(
            f"address is {address!r} and there are no API keys, expected --api-keys FILE where others can ask"
        )
    if peer and not own:
        raise SettingsError("--peer is given without --own, expected the partitions of this instance")
    owners = read_owners(settings.partitions, own, peer or ()) if own else None
    if replay is not None:
        settings = msgspec.structs.replace(settings, dataset=replay)
    start_service("api", settings, for_people=with_parent)
    stop = StopRequest(with_parent=with_parent)
    # The writer and the server share one interpreter: at 5 ms a turn, an answer would wait for several.
    sys.setswitchinterval(_TURN_S)
    access = Access(
        keys=keys, requests_a_second=requests_per_second, origins=tuple(origin or ()), owners=owners
    )
    listening = _listen(address, port)
    with (
        contextlib.ExitStack() as stack,
        listening,
        serving_of(
            settings, access, replay=replay is not None, apart=True, for_people=with_parent
        ) as serving,
    ):
        config = uvicorn.Config(
            build_app(serving), log_config=None, access_log=False, timeout_keep_alive=30, lifespan="off"
        )
        server = _server(uvicorn, config, stop, serving)
        chosen = listening.getsockname()[1]
        _log.info("the API answers at http://%s:%d (documents: /docs)", address, chosen)
        announce_target(stack, settings, "api", address, chosen)
        settle_memory()
        say(ready=True, port=chosen)
        server.run(sockets=[listening])
        if serving.live.failure is not None:
            raise serving.live.failure


def _uvicorn() -> Any:
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise SettingsError(
            f'{error.name} is not installed; to have it: pip install "engram-stream[api]"'
        ) from None
    return uvicorn


def _listen(address: str, port: int) -> socket.socket:
    """Take the port before anything else is started. Raises `SettingsError` where it is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With its protocol named, or asyncio leaves Nagle's algorithm on, and an answer waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        raise SettingsError(f"port is {port} on {address}, expected a free port: {error}") from error
    # From here on callers wait, and are not refused.
    listening.listen(2048)
    return listening


def _server(uvicorn: Any, config: Any, stop: StopRequest, serving: Serving) -> Any:
    """A server that ends when the process is asked to; signals are `StopRequest`'s."""

    class Server(uvicorn.Server):  # type: ignore[misc]
        def install_signal_handlers(self) -> None:
            """Leave them alone."""

        def capture_signals(self) -> Any:
            """Leave them alone."""
            return contextlib.nullcontext()

        async def on_tick(self, counter: int) -> bool:
            """End when asked to, or when the learner will not come again; called ten times a second."""
            serving.attach()
            ended = await super().on_tick(counter)
            return bool(ended or stop or serving.live.failure is not None)

    return Server(config)
