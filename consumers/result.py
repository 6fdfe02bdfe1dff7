"""result.json: what a finished run says of itself. Its form is a contract: `evaluation/result_schema.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from consumers.drift_log import drifts_of
from consumers.hand_over_steps import steps_of
from consumers.lane_measures import LaneMeasures
from consumers.measured import model_measures
from consumers.predictions import LaneSummary
from evaluation.figures import ALL, LAST_70, figures_of
from evaluation.floor import floor_of
from evaluation.ranking import ranked_events
from evaluation.rating import rating_figures_of
from evaluation.significance import significance_of
from online_models.registry import DEFAULT_MODELS

SCHEMA_VERSION: Final = 2
PROTOCOL: Final = "P"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What only the caller knows of a run.

    data_source: one sentence that says where the events came from. data_digest: sha256 of them, None where unknown.
    min_rating: events below were left out before the log; None for all. tie_rule: order of equal event times, `hash`
    or `file`. tie_ranking: equal scores count `against` or `for` the model. seconds: wall-clock, end to end; None
    where nothing was timed. settings: what else the run was started with, JSON-able.
    """

    dataset: str
    data_source: str
    data_digest: str | None
    min_rating: float | None
    tie_rule: str
    tie_ranking: str
    seed: int
    seconds: float | None
    settings: Mapping[str, Any] = field(default_factory=dict)


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of result.json."""
    schema: dict[str, Any] = json.loads(files("evaluation").joinpath("result_schema.json").read_text("utf-8"))
    return schema


def evaluator_digest(lanes: Mapping[int, LaneMeasures]) -> str:
    """Sha256 of the evaluation of all lanes."""
    return _sha256({str(lane): state.digest() for lane, state in lanes.items()})


def run_digest(evaluator: str, summaries: Mapping[int, LaneSummary]) -> str:
    """Sha256 of what a run came to: states of models and drift detectors, evaluation, last source sequences."""
    return _sha256(
        {
            "evaluator": evaluator,
            "models": {
                str(lane): {name: model.digest for name, model in summary.models.items()}
                for lane, summary in summaries.items()
            },
            "last_seq": {str(lane): summary.last_seq for lane, summary in summaries.items()},
            "drift": {str(lane): summary.drift_digest for lane, summary in summaries.items()},
        }
    )


def build_result(
    run: RunInfo,
    lanes: Mapping[int, LaneMeasures],
    summaries: Mapping[int, LaneSummary],
) -> dict[str, Any]:
    """Return the content of result.json. lanes and summaries have the same keys, at least one."""
    measures = [state for _, state in sorted(lanes.items())]
    states = [state.ranking for state in measures]
    said = [summary for _, summary in sorted(summaries.items())]
    events = sum(state.events for state in states)
    evaluation = evaluator_digest(lanes)
    models = _models(measures, said)
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": run.dataset,
        "data_source": run.data_source,
        "data_digest": run.data_digest,
        "min_rating": run.min_rating,
        "protocol": PROTOCOL,
        "tie_rule": run.tie_rule,
        "tie_ranking": run.tie_ranking,
        "clock": said[0].clock,
        "seed": run.seed,
        "settings": dict(run.settings),
        "events": events,
        "total_events": states[0].total_events,
        "last_70_from": states[0].last_70_from if len(states) == 1 else None,
        "counts": {
            "ranked": int(sum(ranked_events(state.cumulative[0]) for state in states if state.models)),
            "repeats": sum(state.repeats for state in states),
            "new_items": sum(state.new_items for state in states),
            "new_users": sum(state.new_users for state in states),
            "users": sum(summary.users for summary in said),
            "items": max(summary.items for summary in said),
        },
        "accounting": _add(summary.accounting for summary in said),
        "lanes": {
            str(summary.lane): {
                "events": summary.events,
                "partitions": list(summary.partitions),
                "last_seq": summary.last_seq,
                "seconds": summary.seconds,
            }
            for summary in said
        },
        "digest": run_digest(evaluation, summaries),
        "evaluator_digest": evaluation,
        "versions": {name: version for one in said for name, version in one.versions.items()},
        "seconds": run.seconds,
        "events_per_second": _rate(events, run.seconds),
        "floor": floor_of(models, DEFAULT_MODELS),
        "significance": significance_of([state.comparison for state in measures]),
        "drift": drifts_of({lane: state.drifts for lane, state in lanes.items()}),
        "hand_over": steps_of({lane: state.steps for lane, state in lanes.items()}),
        "models": models,
    }


def _models(measures: Sequence[LaneMeasures], said: Sequence[LaneSummary]) -> dict[str, Any]:
    models = {}
    ranked = figures_of([state.ranking for state in measures])
    rated = rating_figures_of([state.rating for state in measures])
    nothing = dict.fromkeys((ALL, LAST_70))
    timed = sum(summary.timed_events for summary in said)
    for name in sorted(said[0].models):
        spans = ranked.get(name, nothing)
        parts = [summary.models[name] for summary in said]
        models[name] = {
            ALL: spans[ALL],
            LAST_70: spans[LAST_70],
            "spans": {span: of for span, of in spans.items() if span not in {ALL, LAST_70}},
            "rating": rated.get(name, nothing)[ALL],
            "rating_last_70": rated.get(name, nothing)[LAST_70],
            **model_measures(measures, name),
            "events_per_second": _rate(timed, sum(part.seconds for part in parts)),
            "state_bytes": sum(part.state_bytes for part in parts),
            "digests": {str(lane.lane): part.digest for lane, part in zip(said, parts, strict=True)},
            "config": parts[0].config,
        }
    return models


def _rate(events: int, seconds: float | None) -> float | None:
    return events / seconds if seconds else None


def _add(parts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for term, events in part.items():
            total[term] = total.get(term, 0) + events
    return total


def _sha256(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
