"""The folder of a run: what is cleared, what is refused, and who owns it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.run_folder import RunFolder
from engram.settings import Settings
from eventlog.errors import OwnedError, SettingsError
from eventlog.ownership import Owned

SETTINGS = Settings(dataset="synthetic")


@pytest.mark.parametrize("name", ["logs/important.txt", "checkpoints/model.bin", "result.json", "table.md"])
def test_what_is_no_runs_is_not_cleared(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with pytest.raises(SettingsError, match=r"which holds .* and no run: name another --out"):
        RunFolder(tmp_path, SETTINGS).start()
    assert file.read_text() == "mine"


def test_a_finished_run_is_cleared(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, SETTINGS)
    first.start()
    (tmp_path / "result.json").write_text("{}")
    first.finish()
    RunFolder(tmp_path, SETTINGS).start()
    assert not (tmp_path / "result.json").exists()


def test_a_run_goes_on_with_the_same_events_only(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, SETTINGS)
    first.start()
    first.check_data("a" * 64)
    again = RunFolder(tmp_path, SETTINGS)
    again.start()
    again.check_data("a" * 64)
    other = RunFolder(tmp_path, SETTINGS)
    other.start()
    with pytest.raises(SettingsError, match="data_dir has other events than the unfinished run"):
        other.check_data("b" * 64)


def test_a_run_goes_on_with_the_same_parameters_only(tmp_path: Path) -> None:
    given = Settings(dataset="synthetic", models=("isgd",), params=("isgd.rate=0.05",))
    RunFolder(tmp_path, given).start()
    assert RunFolder(tmp_path, given).resumed
    with pytest.raises(
        SettingsError, match=r"unfinished run with --param \['isgd\.rate=0\.05'\] \(not \[\]\)"
    ):
        RunFolder(tmp_path, Settings(dataset="synthetic", models=("isgd",)))


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with (
        Owned(tmp_path / "lock", "owned"),
        pytest.raises(OwnedError, match="owned by another"),
        Owned(tmp_path / "lock", "owned by another"),
    ):
        pass
    with Owned(tmp_path / "lock", "free again"):
        pass
