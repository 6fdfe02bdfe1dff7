"""A catalogue of films for small streams, for a driver and for oracles."""

from __future__ import annotations

from online_models.catalogue import CatalogueStore, ItemFacts
from tests.online_models.event_streams import Driver
from tests.oracles.rating_synapses_oracle import GENRES, Film

ALL_GENRES = 40


def film(item: int) -> Film:
    """Every fifth item is unknown; genres 32 and above are more than models look at."""
    if item % 5 == 4:
        return Film()
    genres = frozenset({item % 3, 3 + item % 7, 30 + item % 4})
    return Film(genres, 1950 + 3 * item if item % 4 else None, 1 + item % 3)


def describe(driver: Driver, items: int) -> dict[int, Film]:
    """Give the driver's catalogue a film for each item; returns what models may use of them."""
    # Genres and languages are numbered in the order in which they first appear.
    numbering = [ItemFacts("all genres", [f"genre {n}" for n in range(ALL_GENRES)], None, "language 1")]
    numbering += [ItemFacts(f"language {n}", [], None, f"language {n}") for n in (2, 3)]
    facts = [
        ItemFacts(
            str(item),
            [f"genre {genre}" for genre in sorted(film(item).genres)],
            film(item).year,
            f"language {film(item).language}" if film(item).language else None,
        )
        for item in range(items)
    ]
    driver.catalogue = CatalogueStore()
    driver.catalogue.add([*numbering, *facts], driver.items)
    return {
        item: Film(
            frozenset(genre for genre in film(item).genres if genre < GENRES),
            film(item).year,
            film(item).language,
        )
        for item in range(items)
    }
