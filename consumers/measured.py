"""What is measured beside rankings and ratings, of all lanes together: for result.json, and for the metrics of now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from consumers.lane_measures import LaneMeasures
from evaluation.beyond_accuracy import BEYOND_MEASURES
from evaluation.cold_items import cold_figures
from evaluation.figures import ALL, LAST_70
from evaluation.rating import rating_figures_of
from evaluation.significance import significance_of
from evaluation.slices import slice_figures

SPANS: Final = (ALL, LAST_70)
_RATED: Final = (
    ("engram_prequential_rating_rmse", "rmse"),
    ("engram_prequential_rating_mae", "mae"),
    ("engram_prequential_like_auc_ratio", "auc"),
    ("engram_prequential_like_accuracy_ratio", "accuracy"),
)
# Metric: values by labels.
Live = dict[str, dict[tuple[str, ...], float]]


def model_measures(lanes: Sequence[LaneMeasures], model: str) -> dict[str, Any]:
    """Return {"beyond", "slices", "cold": {"all", "last_70": figures or None}} of one model.

    None in place of the spans where the model does not rank ("beyond", "slices"), or not new items ("cold").
    """
    first = lanes[0]
    known = [lane.ranking.new_items for lane in lanes]
    measures: dict[str, Any] = dict.fromkeys(("beyond", "slices", "cold"))
    counted = [True, len(lanes) == 1 and first.ranking.last_70_from is not None]
    if model in first.ranking.models:
        row = first.ranking.models.index(model)
        parts, sliced = [lane.beyond for lane in lanes], [lane.slices for lane in lanes]
        measures["beyond"] = {
            name: first.beyond.figures(parts, known, span, row) if counted[span] else None
            for span, name in enumerate(SPANS)
        }
        measures["slices"] = {
            name: slice_figures(sliced, span, row) if counted[span] else None
            for span, name in enumerate(SPANS)
        }
    cold = [lane.cold for lane in lanes]
    if any(model in lane.models for lane in cold):
        measures["cold"] = {
            name: cold_figures(cold, span, model) if counted[span] else None
            for span, name in enumerate(SPANS)
        }
    return measures


def live_measures(lanes: Sequence[LaneMeasures]) -> Live:
    """Return what the evaluator publishes of now, beside rankings: {metric: {label values: value}}."""
    live: Live = {}

    def put(metric: str, labels: tuple[str, ...], value: float | None) -> None:
        if value is not None:
            live.setdefault(metric, {})[labels] = float(value)

    for model in sorted({*lanes[0].ranking.models, *lanes[0].cold.models}):
        measured = model_measures(lanes, model)
        for span, figures in (measured["beyond"] or {}).items():
            for measure in BEYOND_MEASURES:
                name, _, cutoff = measure.partition("@")
                unit = "bits" if name == "novelty" else "ratio"
                put(f"engram_prequential_{name}_{unit}", (model, cutoff, span), (figures or {}).get(measure))
        for name, figures in ((measured["slices"] or {}).get(ALL) or {}).items():
            put("engram_prequential_slice_recall_ratio", (model, name), (figures or {}).get("recall@10"))
        for span, figures in (measured["cold"] or {}).items():
            cold = (figures or {}).get("figures") or {}
            put("engram_prequential_cold_recall_ratio", (model, span), cold.get("recall@10"))
    for model, spans in rating_figures_of([lane.rating for lane in lanes]).items():
        for span, rated in spans.items():
            for name, measure in _RATED:
                put(name, (model, span), (rated or {}).get(measure))
    for pair in (significance_of([lane.comparison for lane in lanes]) or {"pairs": []})["pairs"]:
        labels = (pair["model"], pair["baseline"])
        put("engram_prequential_difference_ratio", labels, pair["difference"])
        put("engram_prequential_difference_low_ratio", labels, pair["low"])
        put("engram_prequential_difference_high_ratio", labels, pair["high"])
        put("engram_prequential_difference_p_ratio", labels, pair["p_cluster"])
        better = {pair["model"]: 1, pair["baseline"]: -1}.get(pair["better"], 0)
        put("engram_prequential_difference_decided", labels, better)
    return live
