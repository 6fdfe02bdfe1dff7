"""A comparison as a chart (Recall@10 with its interval, by stream) and as one HTML page without any network."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from peers.catalogue import PEERS

Rows = Sequence[Mapping[str, Any]]
_OURS: Final = "#2a6f97"
_PEER: Final = "#c8793a"
_WIDE: Final = 3  # panels in a row
_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1d1d1f}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .7rem;text-align:right}
td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}td:first-child{min-width:11rem}td{vertical-align:top}tr{border-bottom:1px solid #ddd}img{max-width:100%}
div{overflow-x:auto}"""


def draw_chart(path: Path, streams: Sequence[tuple[str, Rows]]) -> Path:
    """Draw a panel a stream: bars of Recall@10, of AUC where nothing ranks; ours and peers in two colours."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = [(label, measure, found) for label, rows in streams for measure, found in _measures(rows)]
    high = max((len(found) for _, _, found in panels), default=1)
    wide = min(_WIDE, max(len(panels), 1))
    tall = math.ceil(max(len(panels), 1) / wide)
    figure, axes = plt.subplots(
        tall,
        wide,
        figsize=(5.2 * wide, 0.9 + tall * (0.9 + 0.24 * high)),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (label, measure, found) in zip(axes.flat, panels, strict=False):
        names = [row["model"] for row in found]
        values = [row[measure] for row in found]
        halves = [
            (row.get("recall@10_high") or 0.0) - row[measure]
            if measure == "recall@10" and row.get("recall@10_high")
            else 0.0
            for row in found
        ]
        axis.barh(
            range(len(found)),
            values,
            xerr=halves,
            # Our registry has models of River too.
            color=[_PEER if name in PEERS or name.startswith("river_") else _OURS for name in names],
            error_kw={"elinewidth": 1},
        )
        axis.set_yticks(range(len(found)), names, fontsize=8)
        axis.invert_yaxis()
        if measure == "auc":
            axis.set_xlim(0.5, max(values) * 1.02)
        axis.set_title(f"{label}\n{'Recall@10' if measure == 'recall@10' else 'AUC of likes'}", fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Blue: Engram. Orange: other libraries, on the same events and candidates.", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _measures(rows: Rows) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The measures that a stream's rows have, and these rows, best first."""
    found = []
    for measure in ("recall@10", "auc"):
        having = [row for row in rows if row[measure] is not None]
        if having:
            found.append((measure, sorted(having, key=lambda row, of=measure: -row[of])))  # type: ignore[misc]
    return found


def write_page(path: Path, lines: Sequence[str], chart: Path) -> Path:
    """Write the Markdown table and its sentences as one page, with the chart inside."""
    body: list[str] = []
    for line in lines:
        if line.startswith("|---"):
            continue
        if line.startswith("|"):
            tag = "td" if body and body[-1].startswith("<tr>") else "th"
            body += [] if tag == "td" else ["<div><table>"]
            cells = [html.escape(cell.strip()) for cell in line.strip("|").split("|")]
            body.append("<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>")
        elif line:
            body += ["</table></div>"] if body and body[-1].startswith("<tr>") else []
            body.append(f"<p>{html.escape(line)}</p>")
    picture = base64.b64encode(chart.read_bytes()).decode()
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Comparison</title><style>{_STYLE}</style><h1>Comparison</h1>"
        f'<img alt="Recall@10 and AUC by stream and model" src="data:image/png;base64,{picture}">'
        + "\n".join(body)
        + "</html>\n",
        "utf-8",
    )
    return path
