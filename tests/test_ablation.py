"""The parts of `benchmarks/ablation.py`: parameters that exist and change something, and its table by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.ablation import PARTS, WHOLE, Variant, markdown, variants
from engram.model_parameters import configs, join
from online_models.registry import MODELS


@pytest.mark.parametrize("variant", list(variants(list(PARTS))), ids=lambda variant: variant.slug)
def test_a_part_is_parameters_that_change_the_model(variant: Variant) -> None:
    texts = [f"{variant.model}.{name}={json.dumps(value)}" for name, value in variant.parameters.items()]
    default = MODELS[variant.model].config_type()
    made = configs(join((), texts, "test")).get(variant.model, default)
    assert (made == default) == (variant.part == WHOLE)


def test_the_table_has_differences_to_the_whole_model_and_dashes_for_what_is_missing() -> None:
    def row(part: str, dataset: str, recall: float, difference: float) -> dict[str, Any]:
        return {
            "model": "hebbian",
            "part": part,
            "dataset": dataset,
            "min_rating": 0.0,
            "events": 1_000,
            "recall@10": recall,
            "ndcg@10": recall / 2,
            "recall@10 difference": difference,
            "ndcg@10 difference": difference / 2,
        }

    text = markdown([row(WHOLE, "a", 0.2, 0.0), row(WHOLE, "b", 0.3, 0.0), row("no gaps", "a", 0.19, -0.01)])
    assert "| Recall@10 | a, all ratings, 1,000 events | b, all ratings, 1,000 events |" in text
    assert f"| {WHOLE} | 0.2000 | 0.3000 |" in text
    assert "| no gaps | 0.1900 (-10.0) | - |" in text
    assert "| no gaps | 0.0950 (-5.0) | - |" in text
