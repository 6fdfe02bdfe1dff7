"""What the page works out by itself: what moved, what is still to be sent, texts that are no markup."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("streamlit")

from serving.bodies import ItemOut, ReasonOut
from serving.client import ApiError, EngramClient, UnreachableError
from serving.page.analytics import diversity
from serving.page.moves import caused_by, compare
from serving.page.visit import Visit
from serving.page.words import day, plain, stars, titled


def item(name: str, *because: tuple[str, float, float], genres: tuple[str, ...] = ()) -> ItemOut:
    reasons = [
        ReasonOut(item=why, title=why, weight=weight, share=share, rated_at_ms=0)
        for why, weight, share in because
    ]
    return ItemOut(item=name, title=f"Film {name}", because=reasons, genres=list(genres))


def test_what_moved() -> None:
    moves = compare([item("a"), item("b"), item("c")], [item("c"), item("a"), item("d")])
    assert moves.entered == ("d",)
    assert moves.risen == {"c": 2}
    assert moves.fallen == {"a": 1}
    assert moves.left == ("Film b",)
    assert moves.moved == 3
    same = [item("a"), item("b")]
    assert compare(same, same).moved == 0


def test_what_a_rating_brought_up_is_what_it_speaks_for() -> None:
    now = [
        item("c", ("x", 2.0, 0.5)),
        item("d", ("x", 3.0, 0.4)),
        item("a", ("x", 9.0, 0.9)),
        item("e", ("y", 1.0, 1.0)),
    ]
    moves = compare([item("a"), item("b"), item("c")], now)
    # a fell, and e has other reasons.
    assert [(one.item, weight, share) for one, weight, share in caused_by("x", now, moves)] == [
        ("d", 3.0, 0.4),
        ("c", 2.0, 0.5),
    ]


class Answers(EngramClient):
    """A client whose API does what it is told, event by event."""

    def __init__(self, *answers: Exception | None) -> None:
        super().__init__("http://127.0.0.1:9")
        self.answers = list(answers)
        self.keys: list[str | None] = []

    def send(self, events: Any) -> str:
        self.keys.append(events[0].key)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return f"0-{len(self.keys)}"


def test_a_rating_that_nobody_accepted_is_sent_again_with_its_key() -> None:
    visit = Visit("zoe")
    visit.rate("1", "Fargo", 4)
    with Answers(UnreachableError("gone"), ApiError(503, "busy"), ApiError(429, "too many"), None) as client:
        for _ in range(3):
            assert not visit.send(client)
            assert len(visit.waiting) == 1
        assert visit.send(client)
        assert (visit.waiting, visit.after) == ([], "0-4")
        assert len(set(client.keys)) == 1


def test_a_rating_that_is_refused_is_said_and_leaves_the_shelf() -> None:
    visit = Visit("zoe")
    visit.rate("1", "Fargo", 4)
    visit.rate("2", "Pulp Fiction", 5)
    with Answers(ApiError(422, "rating is 4, expected 10 to 20"), None) as client:
        assert visit.send(client)
    assert visit.refused == "rating is 4, expected 10 to 20"
    assert list(visit.shelf) == ["2"]


def test_texts_are_shown_as_they_are() -> None:
    assert plain("*Alien*\n[1] $x$ <b> :red[no]") == r"\*Alien\* \[1\] \$x\$ \<b\> \:red\[no\]"
    assert titled("Fargo", 1996) == "Fargo (1996)" == titled("Fargo (1996)", 1996)
    assert titled("Fargo", None) == "Fargo"
    assert stars(4.0) == "★★★★☆"
    assert day(889_228_800_000) == "7 March 1998"


def test_diversity_is_the_mean_jaccard_distance() -> None:
    # {A, B} and {B, C}: 1 of 3 in common; {A, B} and {D}: none; {B, C} and {D}: none.
    films = [item("1", genres=("A", "B")), item("2", genres=("B", "C")), item("3", genres=("D",))]
    assert diversity(films) == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert diversity(films[:1]) == 0.0
