"""What goes to a peer's program and comes back, and the ranks that are made around its model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engram.compare_peers import ask_peer
from eventlog.errors import EngramError
from peers.catalogue import ENVIRONMENTS, PEERS, REQUIREMENTS, Peer, peer_sources
from peers.files import (
    CALL_LIKES,
    RANK_EVENTS,
    Answer,
    Task,
    read_answer,
    read_task,
    write_answer,
    write_task,
)
from peers.install import REASON, install, why_not
from peers.prequential import call_likes, rank_events
from tests.oracles.rank_oracle import rank_by_definition

NOTHING = np.zeros(0, np.uint8)


def task_of(pairs: list[tuple[int, int]], protocol: str = RANK_EVENTS) -> Task:
    """A task of (user, item) pairs, a second apart."""
    n = len(pairs)
    user, item = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    bits = (np.arange(n)[:, None] & np.array([1, 2]) > 0).astype(np.uint8)
    like = (user == 0).astype(np.uint8)
    return Task(
        protocol, 3, int(user.max()) + 1, int(item.max()) + 1, user, item, np.full(n, 5.0), np.arange(n) * 1000,
        bits, like, np.zeros(0, np.int32),
    )  # fmt: skip


class Fixed:
    """A model whose scores are its items' numbers, and which notes what it is told."""

    def __init__(self, scores: list[float]) -> None:
        self.own = np.array(scores)
        self.asked: list[tuple[int, list[int]]] = []
        self.learned: list[tuple[int, int]] = []

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        self.asked.append((user, candidates.tolist()))
        return self.own[candidates]

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        self.learned.append((user, item))


def test_each_event_is_ranked_among_what_is_known_less_the_users_own_and_then_learned() -> None:
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2), (1, 2)]
    model = Fixed([1.0, 2.0, float("nan")])
    ranks, seconds = rank_events(task_of(pairs), model)
    # New, new; of items 0 and 1 item 0 is second; item 1 is alone; new; no number is last, here alone; a repeat.
    assert ranks.tolist() == [-1, -1, 2, 1, -1, 1, 0]
    assert model.asked == [(1, [0, 1]), (1, [1]), (1, [2])]
    assert model.learned == pairs
    assert seconds >= 0.0


def test_equal_scores_count_against_the_model() -> None:
    ranks, _ = rank_events(task_of([(0, 0), (0, 1), (0, 2), (1, 1)]), Fixed([1.0, 1.0, 1.0]))
    assert ranks.tolist() == [-1, -1, -1, 3]
    assert rank_by_definition({0: 1.0, 1: 1.0, 2: 1.0}, [0, 1, 2], 1, ties_against=True) == 3


def test_likes_are_called_before_they_are_learned() -> None:
    class Last:
        said = 0.5

        def says(self, user: int, bits: NDArray[np.uint8]) -> float:
            return self.said

        def learn(self, user: int, bits: NDArray[np.uint8], like: int) -> None:
            self.said = float(like)

    said, _ = call_likes(task_of([(0, 0), (1, 0), (0, 1)], CALL_LIKES), Last())
    assert said.tolist() == [0.5, 1.0, 0.0]


def test_tasks_and_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    task = task_of([(0, 0), (1, 1)])
    write_task(tmp_path / "task.npz", task)
    back = read_task(tmp_path / "task.npz")
    assert back.protocol == RANK_EVENTS
    assert (back.seed, back.users, back.items) == (3, 2, 2)
    assert all(np.array_equal(one, two) for one, two in zip(back[4:], task[4:], strict=True))
    answer = Answer(np.array([-1, -1], np.int32), 0.5, 10, 20, {"k": 1})
    write_answer(tmp_path / "answer.npz", answer)
    read = read_answer(tmp_path / "answer.npz", task)
    assert read[1:] == answer[1:]
    assert read.said.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("said", "protocol", "expected"),
    [
        (np.zeros(3, np.int32), RANK_EVENTS, r"shape \(3,\), expected \(2,\)"),
        (np.zeros(2), RANK_EVENTS, "expected int32 ranks"),
        (np.array([0.5, 1.5]), CALL_LIKES, "values outside 0 to 1"),
        (np.array([0.5, np.nan]), CALL_LIKES, "values outside 0 to 1"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    tmp_path: Path, said: NDArray[np.float64], protocol: str, expected: str
) -> None:
    write_answer(tmp_path / "answer.npz", Answer(said, 0.0, 0, 0, {}))
    with pytest.raises(ValueError, match=expected):
        read_answer(tmp_path / "answer.npz", task_of([(0, 0), (1, 1)], protocol))


def test_a_program_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Peer("numpy", "popularity", "popularity", RANK_EVENTS, None, None, "")
    monkeypatch.setitem(PEERS, "fake", fake)
    task = task_of([(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)])
    answer = ask_peer("fake", sys.executable, task, tmp_path)
    # Before the last event: item 0 has 2 events, item 1 has 2, and user 2 has had item 0.
    assert answer.said.tolist() == [-1, -1, 2, 2, 1]
    assert answer.peak_memory_bytes >= 0
    assert "numpy" in answer.about
    monkeypatch.setitem(PEERS, "fake", fake._replace(model="none"))
    with pytest.raises(EngramError, match=r"fake ended with exit code 1: .*KeyError: 'none'"):
        ask_peer("fake", sys.executable, task, tmp_path)
    with pytest.raises(EngramError, match="No such file"):
        ask_peer("fake", str(tmp_path / "python"), task, tmp_path)


def test_every_peer_has_a_program_and_pinned_packages() -> None:
    programs = REQUIREMENTS.parent / "programs"
    for peer in PEERS.values():
        assert (programs / f"{peer.program}.py").is_file()
    for name in ENVIRONMENTS:
        lines = (REQUIREMENTS / f"{name}.txt").read_text("utf-8").splitlines()
        assert lines
        assert all("==" in line for line in lines)
    assert len({peer_sources(name) for name in ("EASE", "neurorec", "river.BiasedMF")}) == 3


def test_an_environment_that_does_not_come_about_says_why(tmp_path: Path) -> None:
    assert why_not(tmp_path, "river") == "not installed: python -m peers.install river"
    with pytest.raises(ValueError, match="environment is 'no', expected one of river"):
        install("no", tmp_path)


@pytest.mark.full
def test_a_try_that_takes_too_long_is_given_up_and_kept_as_the_reason(tmp_path: Path) -> None:
    reason = install("numpy", tmp_path, limit_s=0.0)
    assert reason == why_not(tmp_path, "numpy") == "did not install within 0 s"
    assert (tmp_path / "numpy" / REASON).is_file()
