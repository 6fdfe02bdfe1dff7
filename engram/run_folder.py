"""The folder of a replay: what it is a run of, whether it is finished, and what to clear before another one.

::

    OUT/run.json          which run this is, and how far: the key to resume it
    OUT/settings.toml     what the child processes are given
    OUT/log.sqlite        the embedded log (with --log embedded)
    OUT/checkpoints/      of the learner and of the evaluator
    OUT/registry/         versions of batch models, where the run retrains
    OUT/logs/             what the child processes said
    OUT/result.json, table.md, curves.png, curves.json     the report, ...
    OUT/report.html, table.csv, curves.csv                 ... and as a page
"""

from __future__ import annotations

import json
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engram.settings import Settings, flag_name
from eventlog.errors import SettingsError

_FILES = ("log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "settings.toml", "run.json")
_REPORT = ("result.json", "table.md", "curves.png", "curves.json", "report.html", "table.csv", "curves.csv")
_FOLDERS = ("checkpoints", "registry", "logs")

# What makes a run's result. Batch size, packing, speed and the like may change when a run is resumed.
IDENTITY = (
    "dataset",
    "columns",
    "time_unit",
    "delimiter",
    "min_rating",
    "tie_order",
    "limit",
    "num_users",
    "reviews_per_user",
    "top_percentile",
    "from_time",
    "to_time",
    "seed",
    "partitions",
    "models",
    "params",
    "ties",
    "clock",
    "rating_min",
    "rating_max",
    "max_future_s",
    "max_message_bytes",
    "batch_model",
    "retrain_every",
    "log",
)


class _RunState(msgspec.Struct, kw_only=True):
    identity: dict[str, Any]
    topic_prefix: str
    data_digest: str | None = None
    finished: bool = False


class RunFolder:
    """One run's folder. resumed: whether it holds an unfinished run, which goes on.

    Raises `SettingsError` when it holds an unfinished run of other settings, and `fresh` is not said.
    """

    def __init__(self, path: Path, settings: Settings, *, fresh: bool = False) -> None:
        self.path = path
        self.notice = ""
        self.obsolete_prefix: str | None = None
        identity = json.loads(json.dumps({name: getattr(settings, name) for name in IDENTITY}))
        found = self._read()
        self._holds_a_run = found is not None
        self.resumed = found is not None and not found.finished and not fresh
        if found is not None and self.resumed:
            self._check_same(found.identity, identity)
            self._state = found
            self.notice = f"{path} holds an unfinished run of these settings: it goes on."
            return
        if found is not None:
            how = "a finished" if found.finished else "an unfinished"
            self.notice = f"{path} holds {how} run: it is replaced."
            self.obsolete_prefix = found.topic_prefix
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._state = _RunState(identity=identity, topic_prefix=f"run-{moment}-{secrets.token_hex(4)}")

    @property
    def topic_prefix(self) -> str:
        """Prefix of the run's topics, its own so that runs can share a broker."""
        return self._state.topic_prefix

    def place(self, settings: Settings) -> Settings:
        """Point the settings at this folder."""
        return msgspec.structs.replace(
            settings,
            log_path=str(self.path / "log.sqlite"),
            checkpoint_dir=str(self.path / "checkpoints"),
            registry=str(self.path / "registry"),
            topic_prefix=self.topic_prefix,
        )

    def start(self) -> None:
        """Clear what an earlier run left, unless that one is resumed, and note that this run is unfinished.

        Raises `SettingsError` when the folder holds files of these names that are no run's.
        """
        if not self.resumed:
            names = (*_FILES, *_REPORT, *_FOLDERS)
            there = [name for name in names if (self.path / name).exists()]
            if there and not self._holds_a_run:
                raise SettingsError(
                    f"out is {str(self.path)!r}, which holds {', '.join(there)} and no run: name another --out"
                )
            for name in (*_FILES, *_REPORT):
                (self.path / name).unlink(missing_ok=True)
            for name in _FOLDERS:
                shutil.rmtree(self.path / name, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self._write()

    def check_data(self, data_digest: str) -> None:
        """Note which events this run is of. Raises `SettingsError` when a resumed run began with others."""
        if self._state.data_digest not in {None, data_digest}:
            raise SettingsError(
                f"data_dir has other events than the unfinished run in {str(self.path)!r} began with: give it the "
                "same data to resume it, another --out, or --fresh to replace it"
            )
        self._state.data_digest = data_digest
        self._write()

    def finish(self) -> None:
        """Note that the run is finished."""
        self._state.finished = True
        self._write()

    def _read(self) -> _RunState | None:
        file = self.path / "run.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=_RunState)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise SettingsError(
                f"out is {str(self.path)!r}, but its run.json is not one of a run ({error}): "
                "name another --out, or delete it"
            ) from None

    def _check_same(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differing = [
            f"{flag_name(name)} {found.get(name)!r} (not {wanted[name]!r})"
            for name in IDENTITY
            if found.get(name) != wanted[name]
        ]
        if differing:
            raise SettingsError(
                f"out is {str(self.path)!r}, which holds an unfinished run with {', '.join(differing)}: give its "
                "settings to resume it, another --out, or --fresh to replace it"
            )

    def _write(self) -> None:
        temporary = self.path / "run.json.part"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self._state), indent=1) + b"\n")
        temporary.replace(self.path / "run.json")
