"""The page about a model of your own, followed: one file and one entry in the registry are all it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.scratch_copy import ROOT, ScratchCopy

PAGE = ROOT / "docs" / "how-to" / "own-model.md"

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
    files = dict(
        re.findall(r'^```python title="(.*?)"\n(.*?)^```$', PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
    copy = ScratchCopy(tmp_path)
    with copy.step("1. the model, and its kernel"):
        copy.write(path := "online_models/last_seen.py", files[path])
    with copy.step("2. its entry in the registry"):
        registry = "online_models/registry.py"
        copy.insert(
            registry, "from online_models.model import", "from online_models.last_seen import LastSeen\n"
        )
        copy.insert(registry, "        Popularity,\n", "        LastSeen,\n")
    with copy.step("3. an oracle, and ranks that are exactly its own"):
        copy.write(path := "tests/oracles/last_seen_oracle.py", files[path])
        copy.write(path := "tests/online_models/test_last_seen.py", files[path])
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
