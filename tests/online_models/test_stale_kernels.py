"""Compiled kernels are kept while no source has changed, and dropped when any has."""

from __future__ import annotations

from pathlib import Path

from online_models import _drop_stale_kernels


def test_kernels_follow_their_sources(tmp_path: Path) -> None:
    (tmp_path / "callee.py").write_text("one = 1")
    cache = tmp_path / "__pycache__"
    cache.mkdir()

    def compiled() -> bool:
        return (cache / "caller.nbi").exists()

    (cache / "caller.nbi").touch()
    _drop_stale_kernels(tmp_path)  # of unknown sources
    assert not compiled()
    (cache / "caller.nbi").touch()
    _drop_stale_kernels(tmp_path)
    assert compiled()
    (tmp_path / "callee.py").write_text("one = 2")
    _drop_stale_kernels(tmp_path)
    assert not compiled()
