"""The HTTP API, as its callers meet it: over the application, a running learner and an embedded log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from consumers.lane import Lane
from engram.parts import lane_config
from engram.serving_parts import Access, serving_of
from eventlog.log import Record
from eventlog.sqlite_log import SqliteLog
from online_models.ids import ABSENT
from serving import bodies, insight_bodies
from serving.access import Keys, hash_of
from serving.parts import Serving
from tests.serving.live_api import TOPICS, Session, Weights, converse, put_films, settings_in

PROBLEM = "application/problem+json"
# Everybody who had 1 had 2, and everybody who had 3 had 4.
TASTES = [(f"u{n}", item) for n in range(6) for item in (("1", "2") if n % 2 else ("3", "4"))]


def rating(user: str, item: str, stars: float = 4.0, **more: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "rating": stars, **more}


async def teach(http: httpx.AsyncClient, pairs: list[tuple[str, str]]) -> str:
    """Send ratings a minute apart; the position behind them."""
    events = [
        rating(user, item, event_time_ms=1_000_000_000_000 + 60_000 * at)
        for at, (user, item) in enumerate(pairs)
    ]
    answer = await http.post("/v1/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["position"])


async def items_of(http: httpx.AsyncClient, user: str, **parameters: Any) -> list[str]:
    answer = await http.get(f"/v1/users/{user}/recommendations", params=parameters)
    assert answer.status_code == 200, answer.text
    return [one.item for one in bodies.RecommendationsOut.model_validate_json(answer.content).items]


def test_what_was_accepted_is_learned_before_the_answer(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        await teach(http, TASTES)
        accepted = await http.post("/v1/events", json=rating("zoe", "1"))
        assert accepted.status_code == 202
        position = accepted.json()["position"]
        answer = await http.get("/v1/users/zoe/recommendations", params={"after": position, "explain": True})
        said = bodies.RecommendationsOut.model_validate_json(answer.content)
        assert said.after == bodies.AfterOut(position=position)
        assert said.items[0].item == "2"  # whoever had 1 had 2
        assert "1" not in [one.item for one in said.items]
        assert said.items[0].because[0].item == "1"
        assert said.items[0].text is not None and "Because you rated Star Wars" in said.items[0].text
        assert said.cold == "few events"
        assert said.user_events == 1
        assert said.learned_events == len(TASTES) + 1

    session(conversation)


def test_an_explanation_is_what_the_state_says(serving: Serving, session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, [*TASTES, ("zoe", "1"), ("zoe", "3")])
        answer = await http.get("/v1/users/zoe/recommendations", params={"after": position, "explain": True})
        said = {one.item: one for one in bodies.RecommendationsOut.model_validate_json(answer.content).items}

        weights = {(pre, post): weight for pre, post, weight in await serving.ask(Weights())}
        for item, from_item in (("2", "1"), ("4", "3")):
            (why, *_) = said[item].because
            assert why.item == from_item
            assert why.weight == pytest.approx(weights[from_item, item])
            assert 0 < why.share <= 1
        assert said["2"].popularity == 3

    session(conversation)


def test_a_cold_user_gets_what_is_popular_and_is_told_so(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, [("a", "3"), ("b", "3"), ("b", "1")])
        answer = await http.get("/v1/users/nobody/recommendations", params={"after": position})
        said = bodies.RecommendationsOut.model_validate_json(answer.content)
        assert said.cold == "new user"
        assert said.items[0].item == "3"
        assert said.items[0].title == "Fargo"
        unknown = await http.get("/v1/users/nobody")
        assert unknown.status_code == 200
        assert unknown.json()["known"] is False

    session(conversation)


def test_filters_and_what_was_seen(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, [*TASTES, ("zoe", "1")])
        assert set(await items_of(http, "zoe", after=position, genre="Crime")) == {"3", "4"}
        assert set(await items_of(http, "zoe", year_from=1994, year_to=1995)) == {"4"}
        assert "1" in await items_of(http, "zoe", seen=True)
        assert "2" not in await items_of(http, "zoe", without="2")
        assert len(await items_of(http, "zoe", k=1)) == 1
        assert set(await items_of(http, "zoe", diversity=0.9, genre_coverage=True)) == {"2", "3", "4"}

    session(conversation)


def test_a_repeated_key_counts_once(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        for _ in range(2):
            again = await http.post("/v1/events", json=rating("a", "1"), headers={"Idempotency-Key": "k1"})
            assert again.status_code == 202
        position = await teach(http, [("a", "2")])
        seen = await http.get("/v1/users/a", params={"after": position})
        assert seen.json()["learned_events"] == 2
        assert [one["item"] for one in seen.json()["history"]] == ["2", "1"]
        assert seen.json()["history"][0]["title"] == "The Empire Strikes Back"
        assert seen.json()["taste"] == {"Action": 0.5, "Sci-Fi": 0.5}

    session(conversation)


def test_a_bad_event_is_refused_by_name_and_nothing_is_accepted(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        mixed = {"events": [rating("a", "1"), rating("a", "2", 9.0), {"user": "a", "item": "3"}]}
        answer = await http.post("/v1/events", json=mixed)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == PROBLEM
        said = bodies.ProblemOut.model_validate_json(answer.content)
        assert said.errors[0] == "events[1]: rating_out_of_scale: rating is 9, expected 1 to 5"
        assert said.errors[1].startswith("events[2]: rating_missing")
        position = await teach(http, [("b", "1")])
        learned = await http.get("/v1/users/b", params={"after": position})
        assert learned.json()["learned_events"] == 1

    session(conversation)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (b'{"user": "", "item": "1", "rating": 4}', "user"),
        (b'{"user": "a", "item": "1", "rating": NaN}', ""),
        (b'{"user": "a", "item": "1", "colour": "red"}', "colour"),
        (b'{"events": []}', "events"),
        (b'{"user": "a", "item": "1", "rating": 4, "event_time_ms": -1}', "event_time_ms"),
        (b'{"user": "a", "item": "1", "rating": 4, "event_time_ms": 9999999999999999}', ""),
        (b"\xff\xfe", ""),
    ],
)
def test_a_body_that_is_none_is_a_problem_that_names_what_is_wrong(
    session: Session, body: bytes, said: str
) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        answer = await http.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, answer.text
        assert answer.headers["content-type"] == PROBLEM
        assert said in answer.json()["detail"] + " ".join(answer.json().get("errors", []))

    session(conversation)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/users/a/recommendations?model=none", 404, "expected one of popularity, hebbian"),
        ("/v1/users/a/recommendations?genre=Opera", 422, "genre is 'Opera'"),
        ("/v1/users/a/recommendations?year_from=2000&year_to=1990", 422, "year_from is 2000"),
        ("/v1/users/a/recommendations?k=0", 422, "k is '0'"),
        ("/v1/users/a/recommendations?after=soon", 422, "position is 'soon'"),
        ("/v1/users/a/recommendations?after=7-1", 422, "expected partitions of [0]"),
        ("/v1/items/none/similar", 404, "item is 'none'"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(session: Session, path: str, status: int, said: str) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        answer = await http.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == PROBLEM
        assert said in answer.json()["detail"]
        assert answer.json()["status"] == status

    session(conversation)


def test_a_position_that_is_not_reached_in_time_is_said_with_the_progress(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        parameters = {"after": "0-1000000", "after_timeout_s": 0.05}
        answer = await http.get("/v1/users/a/recommendations", params=parameters)
        assert answer.status_code == 504
        assert "the learner stands before 0-0" in answer.json()["detail"]

    session(conversation)


def test_an_event_that_cannot_be_used_is_said_to_be_dead_lettered(
    serving: Serving, session: Session, tmp_path: Path
) -> None:
    with SqliteLog(tmp_path / "log.sqlite") as log, log.writer() as writer:
        writer.append(TOPICS.ratings, 0, [Record(b"a", b'{"user": "a"')])
        position = f"0-{writer.flush()[TOPICS.ratings, 0]}"

    async def conversation(http: httpx.AsyncClient) -> None:
        answer = await http.get("/v1/users/a/recommendations", params={"after": position})
        assert answer.json()["after"] == {"position": position, "dead_lettered": {"undecodable": 1}}

    session(conversation)


def test_a_user_is_forgotten(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        await teach(http, [*TASTES, ("zoe", "1")])
        gone = await http.delete("/v1/users/zoe")
        assert gone.status_code == 202
        seen = await http.get("/v1/users/zoe", params={"after": gone.json()["position"]})
        assert seen.json()["known"] is False

    session(conversation)


def test_items_are_found_and_likened(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, TASTES)
        await items_of(http, "a", after=position)
        similar = bodies.SimilarOut.model_validate_json((await http.get("/v1/items/1/similar")).content)
        assert similar.item.title == "Star Wars"
        assert [one.item for one in similar.similar] == ["2"]
        found = (await http.get("/v1/items", params={"q": "WAR"})).json()["items"]
        assert [one["item"] for one in found] == ["6", "1"]  # what begins with it goes first
        assert (await http.get("/v1/items", params={"q": "ar"})).json()["items"] == []
        popular = (await http.get("/v1/items", params={"k": 2})).json()["items"]
        assert len(popular) == 2

    session(conversation)


def test_models_figures_health_and_metrics(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, TASTES)
        await items_of(http, "a", after=position)
        said = insight_bodies.ModelsOut.model_validate_json((await http.get("/v1/models")).content)
        assert said.default == "hebbian"
        assert {one.name for one in said.models} == {"popularity", "hebbian"}
        insight_bodies.PrequentialOut.model_validate_json((await http.get("/v1/metrics/prequential")).content)
        assert (await http.get("/readyz")).json()["status"] == "ready"
        assert (await http.get("/healthz")).json()["status"] == "ok"
        text = (await http.get("/metrics")).text
        route = 'engram_http_requests_total{method="GET",route="/v1/users/{user}/recommendations",status="2xx"} 1.0'
        assert route in text
        assert "engram_events_learned_total" in text
        document = (await http.get("/openapi.json")).json()
        assert "/v1/users/{user}/recommendations" in document["paths"]

    session(conversation)


def test_keys_rates_and_sizes(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    access = Access(keys=Keys([hash_of("secret")]), requests_a_second=0.001, burst=2)

    async def conversation(http: httpx.AsyncClient) -> None:
        assert (await http.get("/healthz")).status_code == 200
        refused = await http.get("/v1/models")
        assert refused.status_code == 401
        assert refused.headers["content-type"] == PROBLEM
        assert (await http.get("/v1/models", headers={"X-API-Key": "guess"})).status_code == 401
        own = {"X-API-Key": "secret"}
        large = await http.post("/v1/events", content=b" " * ((2 << 20) + 1), headers=own)
        assert large.status_code == 413
        assert (await http.get("/v1/models", headers={"Authorization": "Bearer secret"})).status_code == 200
        wait = await http.get("/v1/models", headers=own)
        assert wait.status_code == 429
        assert int(wait.headers["Retry-After"]) > 1

    with serving_of(settings, access) as serving:
        converse(serving, conversation)


def test_each_answer_is_of_a_state_that_existed(tmp_path: Path) -> None:
    """Lists read while others write equal those of a lane that has learned exactly as many events."""
    import asyncio

    settings = settings_in(tmp_path)
    put_films(settings)
    generator = np.random.default_rng(5)
    pairs = [(f"u{user}", f"{item}") for user, item in generator.integers(0, [12, 40], (400, 2))]
    answers: list[tuple[int, str, list[str]]] = []

    async def conversation(http: httpx.AsyncClient) -> None:
        async def write() -> None:
            for at in range(0, len(pairs), 10):
                events = [
                    rating(user, item, event_time_ms=10**12 + 1_000 * (at + n), key=f"k{at + n}")
                    for n, (user, item) in enumerate(pairs[at : at + 10])
                ]
                assert (await http.post("/v1/events", json={"events": events})).status_code == 202

        async def read() -> None:
            for at in range(120):
                user = f"u{at % 12}"
                answer = (await http.get(f"/v1/users/{user}/recommendations", params={"k": 5})).json()
                answers.append((answer["learned_events"], user, [one["item"] for one in answer["items"]]))

        await asyncio.gather(write(), read(), read())

    with serving_of(settings) as serving:
        converse(serving, conversation)
    assert len({learned for learned, _, _ in answers}) > 3
    lane = _Recomputed(settings_in(tmp_path), pairs)
    for learned, user, items in sorted(answers):
        assert lane.list_at(learned, user) == items


class _Recomputed:
    """A lane that learns pairs up to any number of them, going forward."""

    def __init__(self, settings: Any, pairs: list[tuple[str, str]]) -> None:
        self._lane = Lane(0, (0,), 1, lane_config(settings))
        self._pairs = pairs
        self._at = 0

    def list_at(self, learned: int, user: str) -> list[str]:
        from eventlog.codec import WireEvent, encode_wire
        from eventlog.decode import decode
        from eventlog.event_checks import Limits
        from eventlog.log import RecordBatch
        from online_models.interactions import Moment

        n = learned - self._at
        if n > 0:
            values = [
                encode_wire(
                    WireEvent(
                        user=user,
                        item=item,
                        rating=4.0,
                        event_time_ms=10**12 + 1_000 * (self._at + i),
                        key=f"k{self._at + i}",
                    )
                )
                for i, (user, item) in enumerate(self._pairs[self._at : learned])
            ]
            batch = RecordBatch(
                topic="t",
                partition=0,
                offsets=np.arange(n),
                append_time_ms=np.full(n, 2 * 10**12),
                keys=[None] * n,
                values=values,
                headers=[()] * n,
                next_offset=n,
            )
            self._lane.test_then_learn(decode(batch, Limits(rating_min=1.0, rating_max=5.0), 1).events)
            self._at = learned
        lane = self._lane
        row = lane.rows.users.find(user)
        moment = Moment(lane.now, lane.clock_time_ms, lane.rows.history.items)
        known = row if row != ABSENT else -1
        found = lane.models["hebbian"].recommend(known, 5, lane.rows.histories, moment)
        return [lane.rows.items.id_of(item) for item in found.items.tolist()]


def test_numbers_in_answers_are_finite(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, TASTES)
        answer = await http.get("/v1/users/u1/recommendations", params={"after": position})
        assert all(math.isfinite(one["score"]) for one in answer.json()["items"])

    session(conversation)
