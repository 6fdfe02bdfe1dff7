"""Requests that nobody's client sends: a problem is answered, nothing fails (5xx), and the learner goes on."""

from __future__ import annotations

import httpx
import numpy as np

from serving.access import MAX_BODY_BYTES
from tests.serving.live_api import Session

EVENT = b'{"user": "u1", "item": "1", "rating": 4.0}'
NASTY = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"events":' + b"[" * 50_000,
    b'{"events": []}',
    b'{"events": [' + b",".join([b"{}"] * 5_000) + b"]}",
    b'{"user": "u", "item": "1", "rating": NaN}',
    b'{"user": "u", "item": "1", "rating": 1e999}',
    b'{"user": "u", "item": "1", "rating": ' + b"9" * 5_000 + b"}",
    b'{"user": "\\ud800", "item": "1", "rating": 4}',
    b'{"user": "\\u0000", "item": "1", "rating": 4}',
    b'{"user": "' + b"u" * 100_000 + b'", "item": "1", "rating": 4}',
    b'{"user": "u", "item": "1", "rating": 4, "event_time_ms": 99999999999999999999}',
    b'{"user": "u", "item": "1", "rating": 4, "event_time_ms": -1}',
    b'{"user": {"a": 1}, "item": ["1"], "rating": "4"}',
)
PATHS = (
    "/v1/users/%00/recommendations",
    "/v1/users/%ff%fe/recommendations",
    "/v1/users/" + "u" * 5_000,
    "/v1/users/..%2f..%2fetc%2fpasswd",
    "/v1/items/%ed%a0%80/similar",
    "/v1/users/u1/recommendations?k=999999999999999999999",
    "/v1/users/u1/recommendations?diversity=nan",
    "/v1/users/u1/recommendations?diversity=1e999&session=-inf",
    "/v1/users/u1/recommendations?after=" + "0-" * 900,
    "/v1/users/u1/recommendations?after=0-99999999999999999999999",
    "/v1/users/u1/recommendations?model=%00&genre=" + "x" * 1_000,
    "/v1/items?q=%ff" + "y" * 1_000,
    "/v1/nothing/../../here",
)


def damaged(rng: np.random.Generator) -> bytes:
    """A good body with a slice of it replaced."""
    at, drop, put = int(rng.integers(len(EVENT))), int(rng.integers(12)), rng.bytes(int(rng.integers(8)))
    return EVENT[:at] + put + EVENT[at + drop :]


def test_no_request_fails_and_none_stops_the_learner(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        rng = np.random.default_rng(20)
        json = {"Content-Type": "application/json"}
        for body in (*NASTY, *(damaged(rng) for _ in range(200))):
            answer = await http.post("/v1/events", content=body, headers=json)
            assert answer.status_code == 202 or 400 <= answer.status_code < 500, (body[:80], answer.text)
            if answer.status_code != 202:
                assert answer.headers["content-type"].startswith("application/problem+json"), body[:80]
        for path in PATHS:
            answer = await http.get(path)
            assert answer.status_code < 500, (path[:80], answer.text)
        large = await http.post("/v1/events", content=b" " * (MAX_BODY_BYTES + 1), headers=json)
        assert large.status_code == 413
        good = await http.post("/v1/events", content=EVENT, headers=json)
        learned = await http.get("/v1/users/u1", params={"after": good.json()["position"]})
        assert learned.json()["known"]

    session(conversation)
