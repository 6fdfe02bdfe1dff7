"""Routes about the whole: the catalogue, the race of models, the synapses, a replay beside."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query

from serving import insight_bodies as bodies
from serving import questions
from serving.growth import Growth, NetworkThen
from serving.live_evaluator import FiguresOfNow
from serving.network import Around, Network, NetworkAround, ProfileOfItem
from serving.openapi import problems
from serving.parts import ReplayControl, Serving
from serving.problems import ProblemError
from serving.shelf import Shelf
from serving.shown import ItemId, described

_PAIR = tuple(bodies.PairOut.model_fields)
Neighbours = Annotated[str | None, Query(min_length=1, max_length=256)]


def add_insight(app: FastAPI, serving: Serving) -> None:
    """Add the routes to `app`."""
    _add_race(app, serving)
    _add_synapses(app, serving)
    _add_replay(app, serving)


def _add_race(app: FastAPI, serving: Serving) -> None:
    @app.get("/v1/catalogue", response_model=bodies.CatalogueOut, tags=["items"])
    async def show_catalogue() -> Any:
        """How many items and users there are, and the items by genre and decade."""
        counted = await serving.ask(questions.Population())
        return {**counted, "items": len(serving.shelf), **serving.shelf.counts()}

    @app.get("/v1/models", response_model=bodies.ModelsOut, tags=["models"])
    async def list_models() -> Any:
        """Which models are learned."""
        found = await serving.ask(questions.Models())
        ranking = [name for name, of in found.items() if of["ranks"]]
        own = [name for name in ranking if name not in questions.FLOORS]
        return {
            "default": next(iter(own or ranking), None),
            "models": [{"name": name, "floor": name in questions.FLOORS, **of} for name, of in found.items()],
        }

    @app.get("/v1/metrics/prequential", response_model=bodies.PrequentialOut, tags=["models"])
    async def prequential() -> Any:
        """How well each model has predicted, before it learned them, the events so far."""
        if serving.figures.failure is not None:
            raise ProblemError(503, f"no figures are made any more: {serving.figures.failure}")
        try:
            said = dict(await serving.figures.ask(FiguresOfNow(), serving.answer_timeout_s))
        except TimeoutError:
            raise ProblemError(503, "figures are being made", headers={"Retry-After": "1"}) from None
        if said.get("beyond"):
            said["beyond"] = {model: bodies.floats(of) for model, of in said["beyond"].items()}
        if said.get("significance"):
            pairs = said["significance"]["pairs"]
            said["significance"] = said["significance"] | {
                "pairs": [{name: pair[name] for name in _PAIR} for pair in pairs]
            }
        return said


def _add_synapses(app: FastAPI, serving: Serving) -> None:
    shelf = serving.shelf

    @app.get(
        "/v1/items/{item}", response_model=bodies.ItemProfileOut, tags=["items"], responses=problems(404)
    )
    async def show_item(
        item: ItemId,
        k: Annotated[int, Query(ge=1, le=100)] = 15,
        model: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Any:
        """One item as a neuron: its activity and its strongest synapses."""
        found = await serving.ask(ProfileOfItem(item, model, k))
        return {
            "item": described(item, shelf.get(item)) | {"popularity": found.popularity},
            "model": found.model,
            "learned_events": found.learned,
            "activity": found.activity,
            "synapses": found.synapses,
            "bonds": [bond._asdict() | {"title": shelf.title(bond.item)} for bond in found.bonds],
        }

    @app.get("/v1/network", response_model=bodies.NetworkOut, tags=["synapses"], responses=problems(404))
    async def show_network(
        user: Neighbours = None,
        item: Neighbours = None,
        model: Annotated[str | None, Query(max_length=100)] = None,
        neurons: Annotated[int, Query(ge=2, le=100)] = 40,
        each: Annotated[int, Query(ge=1, le=10, description="synapses of a neuron, the strongest")] = 4,
        at: Annotated[
            int | None, Query(ge=0, description="as it was after so many events, since the process began")
        ] = None,
    ) -> Any:
        """The synapses around a user's last items, around an item, or among what is most active."""
        if at is not None:
            then = await serving.ask(NetworkThen(at))
            if then is None:
                raise ProblemError(404, "at is earlier than anything that was looked at, expected none")
            return _network(then, shelf)
        around = NetworkAround(Around(user, item, model, neurons, each))
        return _network(await serving.ask(around), shelf)

    @app.get("/v1/network/growth", response_model=bodies.GrowthOut, tags=["synapses"])
    async def show_growth() -> Any:
        """How many synapses there were, and how dense, at moments since the process began."""
        return {
            "looks": [
                {
                    "learned_events": look.learned,
                    "event_time_ms": look.event_time_ms,
                    "synapses": look.synapses,
                    "density": look.density,
                }
                for look in await serving.ask(Growth())
            ]
        }


def _network(found: Network, shelf: Shelf) -> dict[str, Any]:
    neurons = []
    for neuron in found.neurons:
        known = described(neuron.item, shelf.get(neuron.item))
        neurons.append(neuron._asdict() | {"title": known["title"], "genres": known["genres"]})
    return {
        "model": found.model,
        "learned_events": found.learned,
        "communities": len({neuron.community for neuron in found.neurons}),
        "modularity": found.modularity,
        "neurons": neurons,
        "synapses": [{"pre": a, "post": b, "weight": weight} for a, b, weight in found.synapses],
    }


def _add_replay(app: FastAPI, serving: Serving) -> None:
    def control() -> ReplayControl:
        if serving.replay is None:
            raise ProblemError(404, "no replay runs here, expected an API started with --replay")
        return serving.replay

    @app.get("/v1/replay", response_model=bodies.ReplayOut, tags=["replay"], responses=problems(404))
    async def show_replay() -> Any:
        """How far the replay is that runs beside."""
        return control().state()._asdict()

    @app.put(
        "/v1/replay", response_model=bodies.ReplayOut, tags=["replay"], responses=problems(400, 404, 411)
    )
    async def change_replay(body: bodies.ReplayIn) -> Any:
        """Pause it, or let it go on at another rate."""
        return control().change(paused=body.paused, rate=body.rate)._asdict()
