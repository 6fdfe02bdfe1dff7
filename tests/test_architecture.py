"""The rules of the house, read from the source: who may import whom, names, sizes, and what is never used."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from online_models.polynomials import FUSED, SUMMED

ROOT = Path(__file__).parent.parent

# folder: what it may import of ours. ARCHITECTURE.md says why.
MAY_IMPORT = {
    "eventlog": set(),
    "producers": {"eventlog"},
    "online_models": set(),
    "evaluation": set(),
    "batch_models": {"eventlog", "evaluation"},
    "consumers": {"eventlog", "online_models", "evaluation"},
    "serving": {"eventlog", "online_models", "consumers"},
    "chaos": {"eventlog", "producers", "online_models", "evaluation", "consumers"},
    "peers": set(),
    "dashboards": {"consumers.metric", "consumers.metrics_table"},
    "documentation": {"eventlog", "online_models", "consumers", "serving", "engram"},
    "engram": {
        "eventlog",
        "producers",
        "online_models",
        "evaluation",
        "batch_models",
        "consumers",
        "serving",
        "chaos",
        "peers",
    },
}
# A part of a folder that may import less than the folder: the page speaks to the API alone.
PARTS = {"serving/page": {"serving.bodies", "serving.client", "serving.insight_bodies", "serving.page"}}
# What only one part may import of elsewhere.
ONLY_IN = {"torch": "batch_models", "streamlit": "serving/page", "plotly": "serving/page"}
# Peers' programs run in environments of their own, and may import what these hold.
OTHER_ENVIRONMENTS = "peers/programs/"
# The command of the page starts Streamlit, and no more.
STARTED = {"engram/page_command.py": "streamlit.web.cli.main"}
# Folders that take only these from elsewhere; the rest of the house may use what pyproject.toml lists.
ONLY_FROM_ELSEWHERE = {"online_models": {"numpy", "numba", "networkx", "river"}}
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EMPTY_NAMES = re.compile(r"(^|_)(utils?|common|helpers?|manager|misc)(_|$)")
MAX_LINES = 400


def _folders() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")


def _sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


SHIPPED = _sources(*_folders())
ALL = [*SHIPPED, *_sources("tests", "benchmarks")]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, inside functions too."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _within(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


def test_every_folder_has_its_row_in_the_table() -> None:
    assert set(_folders()) <= set(MAY_IMPORT)


@pytest.mark.parametrize("folder", _folders())
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    ours = set(MAY_IMPORT)
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in _sources(folder)
        for line, name in _imports(path)
        if name.split(".")[0] in ours and not _within(name, MAY_IMPORT[folder] | {folder})
    ]
    assert not wrong


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_it_may(part: str) -> None:
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in _sources(part)
        for line, name in _imports(path)
        if name.split(".")[0] in MAY_IMPORT and not _within(name, PARTS[part])
    ]
    assert _sources(part)
    assert not wrong


@pytest.mark.parametrize("folder", sorted(set(ONLY_FROM_ELSEWHERE) & set(_folders())))
def test_a_folder_takes_only_its_listed_packages_from_elsewhere(folder: str) -> None:
    allowed = ONLY_FROM_ELSEWHERE[folder] | MAY_IMPORT[folder] | {folder} | sys.stdlib_module_names
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in _sources(folder)
        for line, name in _imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong


def test_what_goes_to_a_peer_needs_numpy_alone() -> None:
    """All of `peers` but its programs: another library's environment holds nothing else of what we use."""
    allowed = {"numpy", "peers"} | sys.stdlib_module_names
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in _sources("peers")
        if not _name(path).startswith(OTHER_ENVIRONMENTS)
        for line, name in _imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong


def test_torch_and_what_draws_the_page_are_imported_in_their_places_only() -> None:
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in SHIPPED
        for line, name in _imports(path)
        if (package := name.split(".")[0]) in ONLY_IN
        and not _name(path).startswith(f"{ONLY_IN[package]}/")
        and STARTED.get(_name(path)) != name
        and not _name(path).startswith(OTHER_ENVIRONMENTS)
    ]
    assert not wrong


def test_nothing_is_pickled_evaluated_or_given_to_a_shell() -> None:
    wrong = [
        f"{_name(path)}:{line} imports {name}"
        for path in ALL
        for line, name in _imports(path)
        if name.split(".")[0] in NEVER_IMPORTED or name == "os.system"
    ]
    for path in ALL:
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "os.system", "os.popen"}:
                wrong.append(f"{_name(path)}:{node.lineno} calls {called}")
            for keyword in node.keywords:
                allowed = {"False", "FUSED", "SUMMED"} if keyword.arg == "fastmath" else {"False"}
                if (
                    keyword.arg in {"shell", "allow_pickle", "fastmath"}
                    and ast.unparse(keyword.value) not in allowed
                ):
                    wrong.append(f"{_name(path)}:{node.lineno} sets {keyword.arg}")
    assert not wrong


def test_loose_arithmetic_keeps_what_is_no_number() -> None:
    """Fused products and reordered sums are the same on every run of a build; NaN and infinity stay what they are."""
    assert {"contract"} == FUSED
    assert {"contract", "reassoc"} == SUMMED


def _dependency_names() -> set[str]:
    """Names by which the dependencies in pyproject.toml are imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    names = {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in listed} - {project["name"]}
    installed = importlib.metadata.packages_distributions()
    imported = {module for module, owners in installed.items() if {owner.lower() for owner in owners} & names}
    return {name.replace("-", "_") for name in names} | imported


def test_no_module_is_named_after_a_dependency() -> None:
    taken = _dependency_names()
    assert {"kafka", "numba", "river"} <= taken
    assert not [_name(path) for path in ALL if path.stem in taken or path.parent.name in taken]


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [_name(path) for path in ALL if EMPTY_NAMES.search(path.stem)]


def test_files_are_short_enough_to_read() -> None:
    lengths = {_name(path): len(path.read_text("utf-8").splitlines()) for path in ALL}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_LINES}


def test_every_public_name_is_documented() -> None:
    wrong = []
    for path in SHIPPED:
        tree = _tree(path)
        public = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
            and node in _reachable(tree)
        ]
        wrong += [
            f"{_name(path)}:{node.lineno} {node.name}" for node in public if not ast.get_docstring(node)
        ]
        if not ast.get_docstring(tree):
            wrong.append(_name(path))
    assert not wrong


def _reachable(tree: ast.Module) -> list[ast.stmt]:
    """Statements that others can name: of the module, and of its public classes."""
    found: list[ast.stmt] = []
    todo: list[ast.Module | ast.ClassDef] = [tree]
    while todo:
        for node in todo.pop().body:
            found.append(node)
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                todo.append(node)
    return found
