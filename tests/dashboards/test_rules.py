"""Recording rules and alerts: checked and tested by promtool, named in the runbooks, over metrics of the table."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers.metrics_table import METRICS, PROCESS_METRICS
from dashboards.boards import BOARDS
from dashboards.promql import GRAFANA, filled, metrics_named

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "dashboards" / "prometheus"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text("utf-8")


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / name).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDED = rules("rules.yml")


def promtool(*arguments: str) -> str:
    """Run promtool; its output. Fails where it is not there: the rules were not checked."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: apt-get install prometheus (or Prometheus's own archive) brings it")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool("check", "rules", str(PROMETHEUS / "rules.yml"), str(PROMETHEUS / "alerts.yml"))
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", str(PROMETHEUS / "tests" / "alerts_test.yml"))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests" / "alerts_test.yml").read_text("utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {alert["alert"] for alert in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_every_query_of_every_board_is_promql(tmp_path: Path) -> None:
    chosen = {**GRAFANA, "model": ".*", "span": "all"}
    queries = [query.expr for board in BOARDS for panel in board.panels() for query in panel.queries]
    groups = [
        {"record": f"query:{number}", "expr": filled(expr, chosen)} for number, expr in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "boards", "rules": groups}]}), "utf-8")
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket", "info"}
    said = alert["annotations"]
    assert said["summary"] and said["description"].endswith(".")
    assert said["runbook_url"] == f"docs/runbooks.md#{alert['alert'].lower()}"
    assert f"\n## {alert['alert']}\n" in RUNBOOKS


def test_every_runbook_is_of_an_alert() -> None:
    headings = set(re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE))
    assert headings == {alert["alert"] for alert in ALERTS}
    named = set(re.findall(r"runbook (Engram\w+)", " ".join(p.question for b in BOARDS for p in b.panels())))
    assert named and named <= headings


def test_rules_and_alerts_name_metrics_of_the_table_only() -> None:
    parts = {f"{metric.name}{part}" for metric in METRICS for part in ("_bucket", "_sum", "_count")}
    known = {metric.name for metric in METRICS} | parts | set(PROCESS_METRICS)
    known |= {rule["record"] for rule in RECORDED} | {"up"}
    for rule in (*RECORDED, *ALERTS):
        assert metrics_named(rule["expr"]) <= known, rule
