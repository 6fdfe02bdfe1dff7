"""Figures in README and docs, traced to files of results.

    python -m documentation.figures                                      # writes the tables of the pages from the files
    python -m documentation.figures record scaling --command "..."      # takes over what stands in a page, by hand

docs/results/ has a file for each page with figures (`FILES`):

    page     where they stand
    runs     {name: command, date, machine, versions, recorded: "by the command" or "by hand"}
    tables   name, run, head, align, rows: cells as they are shown
    quotes   run, text: measured numbers in sentences, with enough around them to be found
    stated   numbers that are no measurements of ours: settings, sizes, formulas, what others published

A table stands in its page between `<!-- figures: NAME -->` and `<!-- /figures -->`, with command, machine, versions and date under
it, and is what the file says. Every number of these pages that looks like a measurement is in one of the three.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
FILES = (
    "readme", "comparison", "speed", "leave_one_out", "drift", "models",
    "batch", "batch_handover", "faults", "graphs", "recommend", "scaling", "api", "measures", "operations", "page",
)  # fmt: skip
_MARKED = re.compile(r"<!-- figures: (\S+) -->\n(.*?)<!-- /figures -->", re.DOTALL)
_SILENT = re.compile(
    r"^ *```.*?^ *```$|^    .*?$|^#.*?$|`[^`]*`|\]\([^)]*\)|<!--.*?-->", re.MULTILINE | re.DOTALL
)
_APART = "\N{PILCROW SIGN}"
# Decimals, numbers of four digits and more with commas, and numbers with a unit.
_NUMBER = re.compile(
    r"(?<![\w.,-])[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+(?= (?:%|ms|us|s|MiB|MB|KiB|GB|times|thousand|million)\b))(?![\w,.]*\d)"
)


def load(name: str) -> dict[str, Any]:
    """Read a file of results."""
    read: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return read


def save(name: str, results: dict[str, Any]) -> None:
    """Write a file of results, a row of a table a line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    # The innermost lists are rows.
    text = re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda row: "[" + re.sub(r"\n\s+", " ", row[1]) + "]", text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")


def made_by(run: dict[str, str]) -> str:
    """Say in a line how a run's figures were made."""
    command = f"Made by `{run['command']}`" if run["command"] else run["note"]
    parts = [
        command,
        run["machine"],
        run["versions"],
        run["date"],
        "" if run["recorded"] == "by the command" else "recorded by hand",
    ]
    return "<sub>" + "; ".join(part for part in parts if part) + ".</sub>"


def render(table: dict[str, Any], runs: dict[str, dict[str, str]]) -> str:
    """Render a table with the line under it."""
    lines = [table["head"], table["align"], *table["rows"]]
    rows = ["| " + " | ".join(cells) + " |" for cells in lines]
    rows[1] = "|" + "|".join(table["align"]) + "|"
    return "\n".join([*rows, "", made_by(runs[table["run"]])]) + "\n"


def rendered(text: str, results: dict[str, Any]) -> str:
    """Return the page with each table as its file of results has it. Raises `KeyError` for one that is not there."""
    tables = {table["name"]: table for table in results["tables"]}

    def made(found: re.Match[str]) -> str:
        table = render(tables[found[1]], results["runs"])
        return f"<!-- figures: {found[1]} -->\n{table}<!-- /figures -->"

    return _MARKED.sub(made, text)


def marked(text: str) -> list[str]:
    """Names of the tables that stand in a page."""
    return [found[1] for found in _MARKED.finditer(text)]


def untraced(text: str, results: dict[str, Any]) -> Iterator[str]:
    """Numbers of a page, with what is around them, that look like measurements and are in no file."""
    prose = prose_of(text)
    known = [*(quote["text"] for quote in results["quotes"]), *results["stated"]]
    covered = [False] * len(prose)
    for said in known:
        for found in re.finditer(re.escape(prose_of(said)), prose):
            covered[found.start() : found.end()] = [True] * (found.end() - found.start())
    for number in _NUMBER.finditer(prose):
        if not all(covered[number.start() : number.end()]):
            yield prose[max(0, number.start() - 40) : number.end() + 30]


def prose_of(text: str) -> str:
    """Return the sentences of a page, without tables of figures, code and line breaks; a row of another table stands apart."""
    spoken = _SILENT.sub(" ", _MARKED.sub(" ", text))
    return " ".join(re.sub(r"^\|.*$", rf" {_APART} \g<0> {_APART} ", spoken, flags=re.MULTILINE).split())


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a page, and rows of tables that hold no figures."""
    return re.split(rf"(?<=[.:;]) (?=[A-Z*-])|(?: ?{_APART} ?)+", prose_of(text))


def cells_of(line: str) -> list[str]:
    """Cells of a row of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def record(
    results: dict[str, Any], text: str, run: str, how: dict[str, str], *, as_stated: bool = False
) -> dict[str, Any]:
    """Take over what stands in a page and is not in its file: tables that differ, and sentences that are new, as of `run`.

    how: what the run is recorded with. as_stated: the new sentences hold no measurements. What the page does not say any
    more is dropped, runs too.
    """
    tables = {table["name"]: table for table in results["tables"]}
    for found in _MARKED.finditer(text):
        head, align, *rows = (cells_of(line) for line in found[2].splitlines() if line.startswith("|"))
        taken = {"name": found[1], "run": run, "head": head, "align": align, "rows": rows}
        if {**tables.get(found[1], {}), "run": run} != taken:
            tables[found[1]] = taken
    prose = prose_of(text)
    quotes = [quote for quote in results["quotes"] if prose_of(quote["text"]) in prose]
    stated = [said for said in results["stated"] if prose_of(said) in prose]
    kept = {"quotes": quotes, "stated": stated}
    for sentence in sentences_of(text):
        if list(untraced(sentence, kept)):
            if as_stated:
                stated.append(sentence)
            else:
                quotes.append({"run": run, "text": sentence})
    named = [tables[name] for name in marked(text)]
    used = {part["run"] for part in [*named, *quotes]}
    runs = {name: kept for name, kept in {**results["runs"], run: how}.items() if name in used}
    return {**results, "runs": runs, "tables": named, "quotes": quotes, "stated": stated}


def main() -> None:
    """Write the tables of every page anew, or record what stands in one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "what", nargs="*", metavar="record NAME", help="record what the page of this file says"
    )
    parser.add_argument(
        "--command", default="", help="what made it; without one, it was made by a script that was not kept"
    )
    parser.add_argument("--stated", action="store_true", help="new sentences hold no measurements of ours")
    parser.add_argument("--run", default="recorded", help="name of the run")
    parser.add_argument("--machine", default="two shared cores")
    args = parser.parse_args()
    if args.what:
        if len(args.what) != 2 or args.what[0] != "record" or args.what[1] not in FILES:
            parser.error(f"what is {' '.join(args.what)!r}, expected record and one of {', '.join(FILES)}")
        results = load(args.what[1])
        how = {
            "command": args.command,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": args.machine,
            "versions": f"engram {importlib.metadata.version('engram-stream')}",
            "recorded": "by hand",
            **({} if args.command else {"note": "Made by a script that was not kept"}),
        }
        text = (ROOT / results["page"]).read_text("utf-8")
        save(args.what[1], record(results, text, args.run, how, as_stated=args.stated))
    write_pages()


def write_pages() -> None:
    """Write the tables of every page anew."""
    for name in FILES:
        results = load(name)
        page = ROOT / results["page"]
        text = page.read_text("utf-8")
        made = rendered(text, results)
        if made != text:
            page.write_text(made, "utf-8")
            print(f"wrote {results['page']}")


if __name__ == "__main__":
    main()
