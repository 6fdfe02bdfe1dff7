"""Campaigns: by seed, resumable, with hangs and failures said as such; and the faulty log itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from chaos.campaign import Campaign, is_green, read_lines, table
from chaos.fault import Fault, Ground, Outcome
from chaos.faulty_log import Chance, FaultyLog, Rates
from chaos.verdict import Finding
from engram.cli import app
from eventlog.errors import BrokerError, LogError
from eventlog.log import Record
from eventlog.sqlite_log import SqliteLog


def fault(name: str, outcome: Outcome, seen: list[int] | None = None, within_s: float = 10.0) -> Fault:
    def run(ground: Ground) -> Outcome:
        if seen is not None:
            seen.append(ground.seed)
        return outcome

    return Fault(name, "nothing", run, within_s=within_s)


def test_a_campaign_goes_on_with_the_seeds_that_its_results_lack(tmp_path: Path) -> None:
    path = tmp_path / "results" / "faults.jsonl"
    seen: list[int] = []
    one = fault("one", Outcome(tries=2), seen)
    campaign = Campaign("embedded", path, tmp_path)
    assert [line.seed for line in campaign.run([one], 3)] == [0, 1]
    with path.open("ab") as file:
        file.write(b'{"fault":"one","log":"embed')  # killed as it wrote
    again = Campaign("embedded", path, tmp_path)
    assert [line.seed for line in again.run([one], 5)] == [0, 1, 2]
    assert seen == [0, 1, 2]


def test_a_seed_that_was_no_try_is_followed_by_another_but_not_for_ever(tmp_path: Path) -> None:
    seen: list[int] = []
    campaign = Campaign("embedded", None, tmp_path)
    campaign.run([fault("never", Outcome(tries=0, struck=0), seen)], 3)
    assert seen == list(range(20))


def test_a_hang_ends_in_the_stated_time_and_is_counted(tmp_path: Path) -> None:
    hangs = Fault("hangs", "an end", lambda ground: time.sleep(60) or Outcome(), within_s=0.2)
    [line] = Campaign("embedded", None, tmp_path).run([hangs], 1)
    assert (line.hung, line.tries, line.held, line.ended) == (1, 1, 0, "hang")


def test_what_does_not_hold_is_in_the_table_by_kind(tmp_path: Path) -> None:
    def crash(ground: Ground) -> Outcome:
        raise RuntimeError("something of the harness's own")

    campaign = Campaign("embedded", None, tmp_path)
    wrong = Outcome(tries=3, findings=[Finding("lost", "an event"), Finding("twice", "another")])
    lines = campaign.run(
        [fault("right", Outcome(tries=4)), fault("wrong", wrong), Fault("crash", "", crash)], 1
    )
    assert not is_green(lines)
    assert is_green(lines[:1])
    rows = table(lines).splitlines()
    assert rows[2].startswith("| right | embedded | nothing | 4 | 4 | 0 | 0 | 0 |")
    assert rows[3].startswith("| wrong | embedded | nothing | 3 | 0 | 1 | 1 | 0 |")
    assert rows[-1].startswith("| **all** | | | **8** | **4** | **1** | **1** | **0** |")
    assert "something of the harness's own" in lines[2].what


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("t", 1)
        yield log


def flushed(inner: SqliteLog, rates: Rates) -> tuple[int, str]:
    """How many of 20 records a faulty flush stores, and what it says."""
    said = ""
    with FaultyLog(SqliteLog(inner._path), Chance(rates, np.random.default_rng(1), 1)) as log:
        writer = log.writer()
        writer.append("t", 0, [Record(b"k", b"%d" % n) for n in range(20)])
        try:
            writer.flush()
        except LogError as error:
            said = str(error)
    return inner.bounds("t")[0].end, said


@pytest.mark.parametrize(
    ("rates", "stored", "said"),
    [
        (Rates(), 20, ""),
        (Rates(unanswered=1.0), 20, "its answer was lost"),
        (Rates(doubled=1.0), 40, ""),
    ],
)
def test_a_flush_is_stored_as_its_fault_says(inner: SqliteLog, rates: Rates, stored: int, said: str) -> None:
    have, what = flushed(inner, rates)
    assert have == stored
    assert said in what


def test_a_torn_flush_stores_a_beginning(inner: SqliteLog) -> None:
    stored, said = flushed(inner, Rates(torn=1.0))
    assert 0 <= stored < 20
    assert "a part" in said


def test_a_log_that_is_closed_stores_nothing_more(inner: SqliteLog) -> None:
    with FaultyLog(SqliteLog(inner._path), Chance(Rates(), np.random.default_rng(1), 0)) as log:
        log.writer().append("t", 0, [Record(b"k", b"v")])
    assert inner.bounds("t")[0].end == 0


def test_faults_of_calls_end_when_there_are_none_left(inner: SqliteLog) -> None:
    chance = Chance(Rates(fails=1.0), np.random.default_rng(1), 2)
    log = FaultyLog(inner, chance)
    for _ in range(2):
        with pytest.raises(BrokerError):
            log.bounds("t")
    assert log.bounds("t")[0].end == 0
    assert chance.struck == {"fails": 2}


def test_a_user_gets_a_certificate_and_the_tries_are_kept(tmp_path: Path) -> None:
    out, results = tmp_path / "certificate.md", tmp_path / "tries.jsonl"
    arguments = [
        "chaos",
        "--tries",
        "1",
        "--only",
        "newer version",
        "--out",
        str(out),
        "--results",
        str(results),
    ]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    said = out.read_text()
    assert said.startswith("# Every promise held.")
    assert "1 of 1 tries held on the embedded log: 0 lost, 0 applied twice, 0 hung." in said
    assert "CheckpointNewerError says the way out" in said
    assert {line.ended for line in read_lines(results) if line.tries} == {"CheckpointNewerError"}


def test_a_certificate_says_what_did_not_hold(tmp_path: Path) -> None:
    results = tmp_path / "tries.jsonl"
    arguments = ["chaos", "--tries", "1", "--only", "newer version", "--results", str(results)]
    CliRunner().invoke(app, arguments)
    results.write_bytes(
        results.read_bytes().replace(b'"held":1', b'"held":0').replace(b'"what":""', b'"what":"a gap"')
    )
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 1
    assert "# NOT every promise held." in ran.output
    assert "a gap" in ran.output


def test_chaos_names_a_fault_that_is_not_there() -> None:
    ran = CliRunner().invoke(app, ["chaos", "--only", "earthquake"])
    assert ran.exit_code != 0
    assert "earthquake" in str(ran.exception)
