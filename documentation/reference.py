"""Pages of reference that are made from the code: `python -m documentation.reference` writes those that are stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from consumers import metrics_table
from documentation import command_line, http_api, models, settings

DOCS = Path(__file__).parent.parent / "docs"
# Page under docs/: what makes it.
PAGES: dict[str, Callable[[], str]] = {
    "reference/command-line.md": command_line.page,
    "reference/settings.md": settings.page,
    "reference/models.md": models.page,
    "reference/http-api.md": http_api.page,
    "metrics.md": metrics_table.markdown,
}


def main() -> None:
    """Write each page anew."""
    for name, page in PAGES.items():
        path = DOCS / name
        made = page()
        if not path.exists() or path.read_text("utf-8") != made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made, "utf-8")
            print(f"wrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
