"""Routes about the whole: the catalogue, the network of synapses, how it grew, figures, and a replay beside."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np

from engram.serving_parts import serving_of
from online_models.synapse_figures import THRESHOLD
from serving import insight_bodies
from serving.network import Around, NetworkAround
from serving.parts import Serving
from serving.question import LearnerState, Question
from tests.serving.live_api import FILMS, Session, Weights, converse, settings_in
from tests.serving.test_api import TASTES, teach


class Digest(Question):
    """Ask for a hash of the whole state."""

    answer: ClassVar[Any] = str

    def of(self, state: LearnerState) -> str:
        """See `Question.of`."""
        arrays = state.streams[0].lane.arrays().items()
        return hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(arrays))).hexdigest()


async def until(found: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is the wanted one; a stuck one fails with the test's own timeout."""
    while not wanted(said := await found()):
        time.sleep(0.01)
    return said


def test_the_catalogue_is_counted(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        await http.get("/v1/users/a", params={"after": await teach(http, TASTES)})
        said = insight_bodies.CatalogueOut.model_validate_json((await http.get("/v1/catalogue")).content)
        assert (said.items, said.items_had, said.users) == (len(FILMS), 4, 6)
        assert said.learned_events == len(TASTES)
        assert said.genres == {"Action": 2, "Sci-Fi": 2, "Crime": 2, "Drama": 2, "Animation": 1, "War": 1}
        assert said.decades == {"1950": 1, "1970": 1, "1980": 1, "1990": 3}

    session(conversation)


def test_a_network_is_that_of_the_state(serving: Serving, session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        position = await teach(http, [*TASTES, ("zoe", "1"), ("zoe", "3")])
        await http.get("/v1/users/zoe", params={"after": position})

        everything = await serving.ask(Weights())
        expected = {(pre, post): weight for pre, post, weight in everything if weight > THRESHOLD}
        answer = await http.get("/v1/network", params={"user": "zoe", "each": 10})
        said = insight_bodies.NetworkOut.model_validate_json(answer.content)
        assert {one.item for one in said.neurons if one.centre} == {"1", "3"}
        assert {(one.pre, one.post): one.weight for one in said.synapses} == expected
        community = {one.item: one.community for one in said.neurons}
        # Who had 1 had 2, who had 3 had 4; zoe alone had one of each.
        assert community["1"] == community["2"] != community["3"] == community["4"]
        assert said.communities == 2
        around = (await http.get("/v1/network", params={"item": "2", "neurons": 2})).json()
        assert {one["item"] for one in around["neurons"]} == {"1", "2"}
        profile = insight_bodies.ItemProfileOut.model_validate_json((await http.get("/v1/items/1")).content)
        assert {bond.item: (bond.weight, bond.back) for bond in profile.bonds} == {
            post: (weight, expected.get((post, "1"), 0.0))
            for (pre, post), weight in expected.items()
            if pre == "1"
        }
        assert np.isclose(sum(bond.share for bond in profile.bonds), 1.0)
        for path, parameters in (
            ("/v1/network", {"item": "none"}),
            ("/v1/network", {"user": "none"}),
            ("/v1/network", {"model": "popularity"}),
            ("/v1/items/none", {}),
        ):
            assert (await http.get(path, params=parameters)).status_code == 404

    session(conversation)


def test_asking_for_a_network_changes_nothing(serving: Serving, session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        await http.get("/v1/users/a", params={"after": await teach(http, TASTES)})

        before = await serving.ask(Digest())
        await serving.ask(NetworkAround(Around(user="u1")))
        assert await serving.ask(Digest()) == before

    session(conversation)


def test_figures_say_differences_lists_and_marks(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        # Enough for a point of the curve, and a list at every 256th event.
        pairs = [(f"u{n}", str(1 + (n + step) % 6)) for n in range(140) for step in range(4)]
        await teach(http, pairs)

        async def figures() -> insight_bodies.PrequentialOut:
            answer = await http.get("/v1/metrics/prequential")
            return insight_bodies.PrequentialOut.model_validate_json(answer.content)

        said = await until(figures, lambda one: one.events == len(pairs))
        assert said.figures.keys() == {"popularity", "hebbian"}
        assert said.curve.keys() == {"popularity", "hebbian"}
        assert said.significance is not None
        assert [(pair.model, pair.baseline) for pair in said.significance.pairs] == [
            ("hebbian", "popularity")
        ]
        assert said.beyond["hebbian"]["lists"] > 0
        assert said.drifts == [] == said.hand_overs

    session(conversation)


def test_a_replay_is_paused_sped_up_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, dataset="synthetic", limit=6_000, rate=1.0, models=("hebbian",))
    with serving_of(settings, replay=True) as serving:

        async def first(http: httpx.AsyncClient) -> None:
            async def replay() -> insight_bodies.ReplayOut:
                return insight_bodies.ReplayOut.model_validate_json((await http.get("/v1/replay")).content)

            said = (await http.put("/v1/replay", json={"paused": False, "rate": 20_000.0})).json()
            assert (said["rate"], said["total"]) == (20_000.0, 6_000)
            await until(replay, lambda one: one.written > 1_000)
            paused = await http.put("/v1/replay", json={"paused": True, "rate": 20_000.0})
            assert paused.json()["paused"]
            assert (await http.put("/v1/replay", json={"rate": 0})).status_code == 422

            # How the synapses grew meanwhile, and a network of then.
            async def growth() -> insight_bodies.GrowthOut:
                answer = await http.get("/v1/network/growth")
                return insight_bodies.GrowthOut.model_validate_json(answer.content)

            # What was written is learned a little later.
            look = (await until(growth, lambda one: bool(one.looks))).looks[0]
            assert look.learned_events >= 500 and 0 < look.density < 1 and look.synapses > 0
            then = (await http.get("/v1/network", params={"at": look.learned_events})).json()
            assert then["learned_events"] == look.learned_events

        converse(serving, first)
    with serving_of(settings, replay=True) as serving:

        async def second(http: httpx.AsyncClient) -> None:
            async def learned() -> int:
                return int((await http.get("/v1/catalogue")).json()["learned_events"])

            await http.put("/v1/replay", json={"rate": None})
            assert await until(learned, lambda count: count >= 6_000) == 6_000
            assert (await http.get("/v1/replay")).json()["done"]

        converse(serving, second)


def test_without_a_replay_there_is_none_to_change(session: Session) -> None:
    async def conversation(http: httpx.AsyncClient) -> None:
        assert (await http.get("/v1/replay")).status_code == 404
        said = await http.put("/v1/replay", json={"paused": True})
        assert said.json()["detail"] == "no replay runs here, expected an API started with --replay"

    session(conversation)
