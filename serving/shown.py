"""Items as the API shows them: titles beside ids, and reasons in words."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from fastapi import Path

from eventlog.metadata import ItemMetadata
from serving.positions import Passed
from serving.questions import Answered, Shown
from serving.shelf import Shelf

ItemId = Annotated[str, Path(min_length=1, max_length=256, examples=["242"])]


def described(item: str, known: ItemMetadata | None) -> dict[str, Any]:
    """What is known of an item; its id as the title where nothing is."""
    if known is None:
        return {"item": item, "title": item, "year": None, "genres": []}
    return {"item": item, "title": known.title, "year": known.year, "genres": list(known.genres)}


def shown(one: Shown, shelf: Shelf, *, explain: bool) -> dict[str, Any]:
    """One item of a list; with its reasons in words where they were asked for."""
    known = shelf.get(one.item)
    return {
        "item": one.item,
        "title": one.item if known is None else known.title,
        "year": None if known is None else known.year,
        "genres": () if known is None else known.genres,
        "score": one.score,
        "rank": one.rank,
        "popularity": one.popularity,
        "like_one_above": one.nearest,
        "because": [
            {
                "item": why.item,
                "title": shelf.title(why.item),
                "weight": why.weight,
                "share": why.share,
                "rated_at_ms": why.event_time_ms,
            }
            for why in one.because
        ],
        "text": in_words(one, shelf) if explain else None,
    }


def list_body(found: Answered, waited: Passed | None, shelf: Shelf, *, explain: bool) -> bytes:
    """The JSON of a list, as `bodies.RecommendationsOut` describes it: checked against that in tests, not at each answer."""
    return msgspec.json.encode(
        {
            "user": found.user,
            "model": found.model,
            "cold": found.cold,
            "user_events": found.events,
            "learned_events": found.learned,
            "after": waited._asdict() if waited is not None else None,
            "items": [shown(one, shelf, explain=explain) for one in found.items],
        }
    )


def in_words(one: Shown, shelf: Shelf) -> str:
    """The reasons for an item, in one sentence; each number is in the state."""
    had = f"{one.popularity:,} users had it"
    if not one.because:
        return f"Popular: {had}. Nothing that you rated is wired to it yet."
    first = one.because[0]
    when = time.strftime("%B %Y", time.gmtime(first.event_time_ms / 1000))
    names = [shelf.title(why.item) for why in one.because[:2]]
    strength = f"wired to it as strongly as {first.weight:.1f} fresh co-activations"
    why = (
        f"Because you rated {names[0]} in {when}, {strength}"
        if len(names) == 1
        else f"Because you rated {names[0]} and {names[1]}. {names[0]} (rated in {when}) is {strength}"
    )
    return f"{why}, {100 * first.share:.0f} % of all that speaks for it. {had[0].upper()}{had[1:]}."
