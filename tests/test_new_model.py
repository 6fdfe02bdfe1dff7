"""CONTRIBUTING's five steps for a new model, done: one file and one entry in the registry are all it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scratch_copy import ScratchCopy

MODEL = '''"""The items that were met last: an item's score is the tick of its last event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.model import Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.ranking import rank_among


@dataclass(frozen=True)
class LastSeenConfig(ModelConfig):
    """coarseness: ticks that count as one moment."""

    coarseness: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "coarseness", least=1)


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    last: NDArray[np.float64],
    coarseness: int,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target = events.item[i]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            start = histories.start[events.user[i]]
            had = histories.items[start : start + events.seen[i]]
            ranks[i] = rank_among(last, events.items[i], target, had, ties_against)
        last[target] = max(last[target], float(events.tick[i] // coarseness))


class LastSeen(Model):
    """When each item was last met."""

    name: ClassVar[str] = "last_seen"
    config_type: ClassVar[type[ModelConfig]] = LastSeenConfig
    config: LastSeenConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._last = np.zeros(256, np.float64)
        self._items = 0

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        self._items = max(self._items, int(events.item.max()) + 1)
        self._last = grown(self._last, self._items)
        ties_against = self.situation.ties_against
        _test_then_learn(events, histories, self._last, self.config.coarseness, ties_against, out.ranks)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: whoever asks."""
        return self._last[: moment.items].copy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """last: float64[items], in ticks."""
        return {"last": self._last[: self._items]}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._items = len(arrays["last"])
        self._last = grown(np.zeros(256, np.float64), self._items)
        self._last[: self._items] = arrays["last"]
        self._last[self._items :] = 0.0
'''

ORACLE = '''"""The items that were met last, in a dict."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracles.history_oracle import Event


class LastSeenOracle:
    """Latest tick of each item."""

    def __init__(self, coarseness: int) -> None:
        self.coarseness = coarseness
        self.last: dict[int, float] = {}

    def scores(
        self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int
    ) -> dict[int, float]:
        """Tick of each item."""
        return dict(self.last)

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Keep the later tick."""
        self.last[event.item] = max(self.last.get(event.item, 0.0), float(tick // self.coarseness))
'''

ORACLE_TEST = '''"""The items that were met last, against the oracle."""

from __future__ import annotations

import pytest

from online_models.last_seen import LastSeen, LastSeenConfig
from online_models.model import ClockName, Situation
from tests.online_models.cases import CLOCKS
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles.last_seen_oracle import LastSeenOracle
from tests.oracles.rank_oracle import walk

pytestmark = pytest.mark.oracle
STREAM = random_stream(61, 150, users=20, items=45, late=0.1)


@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("coarseness", [1, 20])
@pytest.mark.parametrize("clock", CLOCKS)
def test_last_seen(clock: ClockName, coarseness: int, ties_against: bool) -> None:
    situation = Situation(clock=clock, ties_against=ties_against)
    driver = Driver(LastSeen(LastSeenConfig(coarseness), situation), clock)
    expected = walk(LastSeenOracle(coarseness), STREAM, clock, ties_against=ties_against)
    assert driver.feed_in(STREAM, [7, 50]).tolist() == [one.rank for one in expected]
'''

# What the learner and the evaluator export of a short run.
METRICS = """
import pathlib, sys
from prometheus_client import CollectorRegistry, generate_latest
from consumers.evaluator import Evaluator
from consumers.metrics import EvaluatorMetrics
from engram import parts
from engram.settings import Settings
from engram.source import open_stream
from eventlog.topics import Topics

settings = Settings(
    dataset="synthetic", limit=500, models=("last_seen", "popularity"), log_path="metrics.sqlite",
    checkpoint_dir="metrics",
)
topics, registry = Topics.with_prefix("metrics"), CollectorRegistry()
with parts.open_log(settings) as log:
    parts.create_topics(log, topics, 1)
    learner = parts.build_learner(settings, log, topics, registry, until_end=True)
    replay = parts.build_replay(settings, log, topics, open_stream(settings, None))
    with Evaluator(log, topics.predictions, metrics=EvaluatorMetrics(registry)) as evaluator:
        while not evaluator.done:
            replay.step()
            if not learner.done:
                learner.step(0.0)
            evaluator.step(0.0)
    replay.close()
    learner.close()
print(generate_latest(registry).decode())
"""


@pytest.mark.timeout(600)
def test_a_new_model_is_one_file_and_one_entry_in_the_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = ScratchCopy(tmp_path)
    with copy.step("1. the model, and its kernel"):
        copy.write("online_models/last_seen.py", MODEL)
    with copy.step("2. its entry in the registry"):
        registry = "online_models/registry.py"
        copy.insert(
            registry, "from online_models.model import", "from online_models.last_seen import LastSeen\n"
        )
        copy.insert(registry, "        Popularity,\n", "        LastSeen,\n")
    with copy.step("3. an oracle, and ranks that are exactly its own"):
        copy.write("tests/oracles/last_seen_oracle.py", ORACLE)
        copy.write("tests/online_models/test_last_seen.py", ORACLE_TEST)
        copy.pytest("tests/online_models/test_last_seen.py")
    with copy.step("4. the conformance suite, which is told that it ranks"):
        suite = "tests/online_models/test_conformance.py"
        copy.insert(suite, '    "popularity": (True, False),\n', '    "last_seen": (True, False),\n')
        house = ("tests/test_architecture.py", "tests/test_without_the_compiler.py")
        copy.pytest(suite, *house, "-k", "last_seen or registry or imports or every_kernel")
        copy.python("-m", "ruff", "check", "--quiet", "online_models", "tests")
    with copy.step("5. a replay beside popularity"):
        copy.python(
            *("-m", "engram", "replay", "synthetic", "--limit", "2000", "--quiet", "--out", "run"),
            *("--model", "last_seen", "--model", "popularity", "--param", "last_seen.coarseness=3"),
        )
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert set(result["models"]) == {"last_seen", "popularity"}
    of_it = result["models"]["last_seen"]
    assert of_it["config"] == {"coarseness": 3}
    assert of_it["all"]["recall@10"] > 0
    assert of_it["state_bytes"] == 8 * result["counts"]["items"]
    assert of_it["events_per_second"] > 0
    for name in ("report.html", "table.md", "table.csv", "curves.csv"):
        assert "last_seen" in (tmp_path / "run" / name).read_text("utf-8")
    with copy.step("5. the metrics of a run"):
        said = copy.python("-c", METRICS)
    exported = {line.split("{")[0] for line in said.splitlines() if 'model="last_seen"' in line}
    # All that popularity has, and the comparison with it.
    assert exported > {line.split("{")[0] for line in said.splitlines() if 'model="popularity"' in line}
    assert exported
    with capsys.disabled():
        print(f"\na new model, step by step:\n{copy.report()}")
