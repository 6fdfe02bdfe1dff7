"""Requests that are answered past the framework are answered as the framework answers them."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from serving import bodies
from serving.hot_paths import asking_of, events_of
from serving.questions import Asking
from tests.serving.live_api import Session

JSON = "application/json"
# With parameters, as FastAPI takes it: what comes past it knows none of content types.
FRAMEWORK = "application/json; charset=utf-8"
GOOD: tuple[dict[str, Any], ...] = (
    {"user": "zoe", "item": "1", "rating": 4},
    {"user": "zoé", "item": "片", "rating": 4.5, "event_time_ms": 1_000, "key": "a"},
    {"user": "zoe", "item": "1", "kind": "view"},
    {"user": "zoe", "item": "1", "kind": "retract", "key": "b"},
    {"events": [{"user": "zoe", "item": "1", "rating": 1}, {"user": "bob", "item": "2", "rating": 5.0}]},
)
BAD: tuple[Any, ...] = (
    None,
    [],
    {},
    {"events": []},
    {"events": [{"user": "zoe", "item": "1", "rating": 4}, {"user": "", "item": "1", "rating": 4}]},
    {"user": "zoe", "item": "1"},
    {"user": "zoe", "item": "1", "rating": "4"},
    {"user": "zoe", "item": "1", "rating": True},
    {"user": "zoe", "item": "1", "rating": 9},
    {"user": "zoe", "item": "1", "rating": 4, "event_time_ms": 1.5},
    {"user": "zoe", "item": "1", "rating": 4, "event_time_ms": -1},
    {"user": "zoe", "item": "1", "rating": 4, "event_time_ms": 2**60},
    {"user": "zoe", "item": "1", "rating": 4, "stars": 4},
    {"user": "zoe", "item": "1", "rating": 4, "kind": "wish"},
    {"user": "zoe", "item": "1", "rating": 4, "key": ""},
    {"user": "z\n", "item": "1", "rating": 4},
    {"user": "z" * 257, "item": "1", "rating": 4},
    {"user": "é" * 200, "item": "1", "rating": 4},
    {"events": [{"user": "zoe", "item": "1", "rating": 4}] * (bodies.MAX_EVENTS + 1)},
)


@pytest.mark.parametrize("body", GOOD)
def test_good_events_are_taken(body: dict[str, Any]) -> None:
    assert events_of(msgspec.json.encode(body), "key") is not None


def test_events_are_taken_alike(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        for number, body in enumerate((*GOOD, *BAD)):
            content = msgspec.json.encode(body)
            answers = [
                await http.post("/v1/events", content=content, headers={"Content-Type": kind})
                for kind in (JSON, FRAMEWORK)
            ]
            here, there = answers
            assert here.status_code == there.status_code == (202 if number < len(GOOD) else 422), body
            if here.status_code == 202:
                accepted = [bodies.Accepted.model_validate_json(answer.content) for answer in answers]
                assert accepted[0].accepted == accepted[1].accepted
            else:
                assert here.json() == there.json()
                assert here.headers["content-type"] == there.headers["content-type"]
        # Of what came twice with a key, the second was a repeat; of the rest, both were learned.
        position = accepted[0].position
        user = await http.get("/v1/users/zoe", params={"after": position})
        assert [one["item"] for one in user.json()["history"]] == ["1"]

    session(conversation)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", (Asking(), None)),
        (b"k=25&model=blend", (Asking(model="blend", k=25), None)),
        (b"explain=true&after=0-1041.1-7&k=1", (Asking(k=1, explain=True), "0-1041.1-7")),
        (b"k=0", None),
        (b"k=201", None),
        (b"k=07", None),
        (b"k=1&k=2", None),
        (b"k=", None),
        (b"k=%31", None),
        (b"explain=yes", None),
        (b"genre=Drama", None),
        (b"model=" + b"m" * 101, None),
    ],
)
def test_a_query_is_read_or_left_to_the_framework(query: bytes, expected: object) -> None:
    assert asking_of(query) == expected


def test_lists_are_answered_alike(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        pairs = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "3"), ("zoe", "1")]
        events = [{"user": user, "item": item, "rating": 4.0} for user, item in pairs]
        accepted = await http.post("/v1/events", json={"events": events})
        position = accepted.json()["position"]
        # Learned first: or what is learned between two requests is a difference between their answers.
        await http.get("/v1/users/zoe", params={"after": position})
        for user in ("zoe", "nobody", "zo%C3%A9", "z%0A"):
            for query in (
                "k=3",
                f"after={position}&explain=true",
                "model=popularity",
                "model=wrong",
                "after=x",
            ):
                path = f"/v1/users/{user}/recommendations?{query}"
                here, there = await http.get(path), await http.get(f"{path}&seen=false")
                assert here.status_code == there.status_code, path
                assert here.json() == there.json(), path
                assert here.headers["content-type"] == there.headers["content-type"], path
        counted = (await http.get("/metrics")).text
        # Both ways are one route of the metrics, and count what was refused.
        routes = [line for line in counted.splitlines() if line.startswith("engram_http_requests_total{")]
        assert any('route="/v1/users/{user}/recommendations"' in line and '"4xx"' in line for line in routes)
        assert not any('route="other"' in line for line in routes)

    session(conversation)
