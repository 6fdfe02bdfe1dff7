"""Several instances over one log: each answers for its users, and sends on who asks about another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engram.serving_parts import Access, serving_of
from eventlog.errors import SettingsError
from eventlog.partitioner import partition_of
from serving.api import build_app
from serving.owners import Owners, read_owners
from serving.parts import Serving
from tests.serving.live_api import settings_in

HERE, THERE = "http://here", "http://there:8000"
USERS = [f"u {n}/ä" for n in range(12)]
MINE = [user for user in USERS if partition_of(user, 2) == 0]
OTHERS = [user for user in USERS if partition_of(user, 2) == 1]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Serving, Serving]]:
    """Two instances, of partitions 0 and 1."""
    settings = settings_in(tmp_path, partitions=2, models=("popularity",))
    with (
        serving_of(settings, Access(owners=read_owners(2, [0], [f"{THERE}=1"]))) as here,
        serving_of(settings, Access(owners=read_owners(2, [1], [f"{HERE}=0"]))) as there,
    ):
        yield here, there


def test_each_answers_for_its_users_and_sends_on_the_others(both: tuple[Serving, Serving]) -> None:
    async def conversation() -> None:
        mounts = {
            address: httpx.ASGITransport(app=build_app(serving))
            for address, serving in zip((HERE, THERE), both, strict=True)
        }
        assert MINE
        assert OTHERS
        async with httpx.AsyncClient(mounts=mounts, base_url=HERE, timeout=60) as http:
            events = [{"user": user, "item": "i", "rating": 4.0} for user in USERS]
            accepted = await http.post("/v1/events", json={"events": events})
            assert accepted.status_code == 202
            after = accepted.json()["position"]
            for user in USERS:
                quoted = user.replace(" ", "%20").replace("/", "%2F").replace("ä", "%C3%A4")
                for path in (f"/v1/users/{quoted}/recommendations", f"/v1/users/{quoted}"):
                    # An id with a slash is no path of the API, wherever it is asked.
                    asked = path.replace("%2F", "-")
                    answer = await http.get(asked, params={"after": after})
                    own = partition_of(user.replace("/", "-"), 2) == 0
                    assert answer.status_code == (200 if own else 307), asked
                    if not own:
                        assert answer.headers["location"] == f"{THERE}{asked}?after={after}"
                        followed = await http.get(answer.headers["location"])
                        assert followed.status_code == 200

    asyncio.run(conversation())


def test_a_user_whom_nobody_is_known_to_learn_is_said_to_be(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, partitions=2, models=("popularity",))
    with serving_of(settings, Access(owners=Owners(2, frozenset({0})))) as serving:

        async def conversation() -> None:
            transport = httpx.ASGITransport(app=build_app(serving))
            async with httpx.AsyncClient(transport=transport, base_url=HERE, timeout=60) as http:
                user = next(f"u{n}" for n in range(99) if partition_of(f"u{n}", 2) == 1)
                answer = await http.get(f"/v1/users/{user}")
                assert answer.status_code == 421
                assert answer.json()["detail"] == (
                    "partition 1 of the user is not learned here, expected one of [0]"
                )

        asyncio.run(conversation())


@pytest.mark.parametrize(
    ("mine", "peers", "said"),
    [
        ([2], [], "partition is 2, expected 0 to 1"),
        ([0], ["http://x=0"], "partition 0 is given twice, expected one owner of it"),
        ([0], ["x=1"], "peer is 'x=1', expected one as http://host:8000=2,3"),
        ([0], ["http://x=a"], "peer is 'http://x=a', expected partitions as 2,3 behind ="),
        ([0], ["http://x=5"], "partition is 5, expected 0 to 1"),
    ],
)
def test_owners_that_cannot_be_are_refused(mine: list[int], peers: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match="^" + said.replace("?", r"\?")):
        read_owners(2, mine, peers)
