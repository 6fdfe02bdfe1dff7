"""Hooks of mkdocs: the project's own documents are pages too, links to its files work, and formulas are MathML.

A document of the root (ARCHITECTURE.md and its like) becomes a page of the site. Pages keep the links that work in the
repository: those that lead out of docs/ are turned to the page, or to a copy of the file. Formulas are written as on GitHub, a
fence of `math` or $`...`$, and turned to MathML here, which browsers draw by themselves: no script, no network.
"""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# Documents of the root that are pages.
DOCUMENTS = {
    f"{name}.md": f"{name.lower()}.md" for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "GLOSSARY")
}
COPIES = "repository"
_LINK = re.compile(r"(\[[^][]*\]\()(?![a-z]+:|#|/)([^)#\s]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
# Above Markdown's own backticks, whose priority is 190.
_BEFORE_CODE = 200


class Formula(InlineProcessor):
    """A formula within a line."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[ET.Element, int, int]:  # noqa: N802
        """Turn it to MathML."""
        return ET.fromstring(convert(m[1]).replace(_NAMESPACE, "")), m.start(0), m.end(0)


class Formulas(Extension):
    """Formulas within lines."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register them."""
        md.inlinePatterns.register(Formula(r"\$`([^`]+)`\$", md), "formula", _BEFORE_CODE)


def formula_block(source: str, *_: Any, **__: Any) -> str:
    """Turn a fence of `math` to MathML, a line of it a formula."""
    return "".join(convert(line, display="block") for line in source.splitlines() if line.strip())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add what draws formulas, and what shows commands that a test leaves out."""
    config.markdown_extensions.append(Formulas())
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "math", "format": formula_block}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the root, and copies of all other files that pages link to."""
    for name, page in DOCUMENTS.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    copies: set[str] = set()
    for file in files.documentation_pages():
        _linked(file.content_string, file.src_uri, copies)
    for target in sorted(copies):
        source = ROOT / target.removeprefix(f"{COPIES}/")
        if source.is_file():
            files.append(File.generated(config, target, content=source.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links; `sh-once` and `sh-install` are a shell's."""
    turned = _linked(markdown, page.file.src_uri, set())
    return re.sub(r"^```sh-(once|install)$", "```sh", turned, flags=re.MULTILINE)


def _linked(markdown: str, page: str, copies: set[str]) -> str:
    """Turn each relative link outside fences to the page or file of the site; those of files to copy are put into `copies`."""
    names = {site: name for name, site in DOCUMENTS.items()}
    folder = posixpath.dirname(names.get(page, f"docs/{page}"))

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        if (ROOT / target).is_dir():
            return link[1][1:-2]  # a folder is no page
        if target in DOCUMENTS:
            target = DOCUMENTS[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            target = f"{COPIES}/{target}"
            copies.add(target)
        return _named(link[1], target) + posixpath.relpath(target, posixpath.dirname(page) or ".") + link[3]

    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(turned, part) for part in parts[::2]]
    return "".join(parts)


def _named(opening: str, page: str) -> str:
    """`[name.md](` with the title of the page as its text; other texts stay."""
    if not re.fullmatch(r"\[[\w./-]+\.md\]\(", opening):
        return opening
    sources = {site: ROOT / name for name, site in DOCUMENTS.items()}
    text = sources.get(page, ROOT / "docs" / page).read_text("utf-8")
    title = re.search(r"^# (.*)$", text, re.MULTILINE)
    return f"[{title[1]}](" if title else opening
