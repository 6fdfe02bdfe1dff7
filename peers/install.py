"""Make an environment for a peer: `python -m peers.install river implicit --folder runs/peers`.

Each is a virtual environment of its own, made by the Python that runs this, with the packages of its file in
`peers/requirements` at their pinned versions. None of them is ever installed beside Engram.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from peers.catalogue import ENVIRONMENTS, REQUIREMENTS

DEFAULT_FOLDER: Final = Path("runs/peers")
_LIMIT_S: Final = 3_600.0  # the bounded try: an hour
_TAIL_LINES: Final = 3
REASON: Final = "not_installed.txt"


def interpreter(folder: Path, environment: str) -> Path:
    """Return where the interpreter of an environment is, or would be."""
    scripts, suffix = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")
    return folder / environment / scripts / f"python{suffix}"


def why_not(folder: Path, environment: str) -> str:
    """Say why an environment cannot be used; '' where it can."""
    try:
        return (folder / environment / REASON).read_text("utf-8").strip()
    except FileNotFoundError:
        pass
    if not interpreter(folder, environment).is_file():
        return f"not installed: python -m peers.install {environment}"
    return ""


def install(environment: str, folder: Path, limit_s: float = _LIMIT_S) -> str:
    """Make the environment anew; return '' or, as kept in its file `REASON`, why it did not come about.

    Packages that are built from source get what is in `<environment>.build.txt` first. Raises `ValueError` for a name
    that is none of `ENVIRONMENTS`.
    """
    if environment not in ENVIRONMENTS:
        raise ValueError(f"environment is {environment!r}, expected one of {', '.join(ENVIRONMENTS)}")
    place = folder / environment
    venv.EnvBuilder(clear=True, with_pip=True).create(place)
    build = REQUIREMENTS / f"{environment}.build.txt"
    plain = ["-r", str(REQUIREMENTS / f"{environment}.txt")]
    steps = [["-r", str(build)], ["--no-build-isolation", *plain]] if build.is_file() else [plain]
    pip = [str(interpreter(folder, environment)), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    for step in steps:
        reason = _run([*pip, "install", *step], limit_s)
        if reason:
            (place / REASON).write_text(reason + "\n", "utf-8")
            return reason
    return ""


def _run(command: list[str], limit_s: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"did not install within {limit_s:g} s"
    if done.returncode:
        tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_TAIL_LINES:]
        return f"does not install with {sys.version.split()[0]}: {' '.join(tail)}"
    return ""


def main() -> None:
    """Install the environments that are named, all of them where none is; say what came of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(ENVIRONMENTS)}")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    args = parser.parse_args()
    failed = False
    for name in args.names or ENVIRONMENTS:
        try:
            reason = install(name, args.folder)
        except ValueError as error:
            parser.error(str(error))
        print(f"{name}: {reason or 'installed'}")
        failed |= bool(reason)
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
