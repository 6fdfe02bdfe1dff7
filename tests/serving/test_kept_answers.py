"""What is expensive and asked by many is answered once in a while; a user's own is always of this moment."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from serving import kept_answers
from serving.kept_answers import MOST_KEPT, KeptAnswers
from serving.network import Around, NetworkAround
from serving.questions import BestItems, ProfileOf
from tests.serving.live_api import Session


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [100.0]
    monkeypatch.setattr(kept_answers, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    return now_s


def test_an_answer_is_given_again_until_its_time_is_over(clock: list[float]) -> None:
    kept = KeptAnswers()
    kept.keep(BestItems(2), ["1", "2"])
    kept.keep(ProfileOf("zoe"), "what is known")
    assert kept.of(BestItems(2)) == ["1", "2"]
    assert kept.of(BestItems(3)) is None
    assert kept.of(ProfileOf("zoe")) is None
    clock[0] += 1.0
    assert kept.of(BestItems(2)) is None


def test_the_oldest_goes(clock: list[float]) -> None:
    kept = KeptAnswers()
    for k in range(1, MOST_KEPT + 2):
        kept.keep(BestItems(k), [str(k)])
    assert kept.of(BestItems(1)) is None
    assert kept.of(BestItems(2)) == ["2"]


def test_a_network_is_found_anew_after_its_time_and_that_of_a_user_at_once(
    session: Session, clock: list[float]
) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        async def learned(**around: str) -> int:
            return int((await http.get("/v1/network", params=around)).json()["learned_events"])

        async def rate(item: str) -> None:
            sent = {"user": "zoe", "item": item, "rating": 4.0}
            position = (await http.post("/v1/events", json=sent)).json()["position"]
            await http.get("/v1/users/zoe", params={"after": position})

        await rate("1")
        assert (await learned(), await learned(user="zoe")) == (1, 1)
        await rate("2")
        assert (await learned(), await learned(user="zoe")) == (1, 2)
        clock[0] += NetworkAround(Around()).keep_s
        assert await learned() == 2

    session(conversation)
