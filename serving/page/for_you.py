"""For you: become a user, rate films with stars, and see the list move at once, with what moved and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from serving.bodies import ItemOut, RecommendationsOut
from serving.page.connection import api, catalogue, models
from serving.page.moves import Moves, caused_by, compare
from serving.page.visit import Rated, Visit
from serving.page.words import plain, stars, titled

_ENOUGH: Final = 5  # ratings, after which a user is not new any more
_FOUND: Final = 6
_LONGEST: Final = 200  # characters of a search
_YEARS: Final = (1900, 2030)


def show() -> None:
    """Draw the page."""
    visit: Visit | None = st.session_state.get("visit")
    if visit is None:
        _become()
        return
    st.query_params["user"] = visit.user
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title(f"For {plain(visit.user)}")
        if st.button("Be someone else", type="tertiary"):
            del st.session_state["visit"]
            st.query_params.clear()
            st.rerun()
    if visit.refused:
        st.error(f"That rating was refused: {plain(visit.refused)}")
        visit.refused = ""
    _search(visit)
    wide, narrow = st.columns([0.64, 0.36], gap="large")
    with narrow:
        asking = _controls()
    parameters = {**asking, "explain": True, "without": visit.passed or None, "after": visit.after}
    found = api().recommend(visit.user, **parameters)
    moves = _moves(visit, found, repr(asking))
    with wide:
        _onboarding(visit, found)
        _list(visit, found, moves)
    with narrow:
        _shelf(visit)


def _become() -> None:
    st.title("Rate a film, and watch it learn")
    st.write(
        "Pick a name. A new one starts with nothing, and the list is what everybody likes; with your first star it becomes "
        "yours. The number of a MovieLens user, such as 196, goes on with that user's history."
    )
    with st.form("become", border=False):
        name = st.text_input("Your name", placeholder="zoe", max_chars=100)
        if st.form_submit_button("Begin", type="primary") and name.strip():
            st.session_state["visit"] = Visit(name.strip())
            st.rerun()


def _controls() -> dict[str, Any]:
    """Filters and sliders; returns the API's parameters."""
    known, learned = catalogue(), models()
    st.subheader("Your list")
    diversity = st.slider(
        "Diversity",
        0.0,
        1.0,
        0.0,
        0.05,
        help="0: by the model alone. Towards 1, each film should differ from those above it.",
    )
    session = st.slider(
        "Your mood of the last half hour",
        0.0,
        1.0,
        0.0,
        0.05,
        help="How far the list is pulled to what you rated just now.",
    )
    with st.expander("Filters"):
        genres = st.multiselect("Genres", list(known.genres), placeholder="Any genre")
        decades = [int(decade) for decade in known.decades]
        low, high = (min(decades), max(decades) + 9) if decades else _YEARS
        years = st.slider("Years", low, high, (low, high)) if low < high else (low, high)
        seen = st.checkbox("Films that you had, too")
        ranking = [one.name for one in learned.models if one.ranks]
        best = ranking.index(learned.default) if learned.default in ranking else 0
        model = st.selectbox("Model", ranking, index=best) if ranking else None
        length = st.select_slider("Length", [5, 10, 20, 50], 10)
    return {
        "k": length,
        "diversity": diversity,
        "session": session,
        "genre": genres or None,
        "year_from": years[0] if years[0] > low else None,
        "year_to": years[1] if years[1] < high else None,
        "seen": seen,
        "model": model,
    }


def _moves(visit: Visit, found: RecommendationsOut, asked: str) -> Moves | None:
    """Compare with the list before the last rating; a list that was asked for otherwise is no comparison."""
    if asked != visit.asked:
        visit.before, visit.cause = None, None
    visit.asked = asked
    moves = compare(visit.before, found.items) if visit.before is not None else None
    visit.shown = found.items
    return moves


def _search(visit: Visit) -> None:
    text = st.text_input("Find a film that you know", placeholder="Search: star wars, fargo, …", key="search")
    if not text.strip():
        return
    found = api().search(text[:_LONGEST], _FOUND)
    if not found:
        st.caption(f"No title has words that begin with “{plain(text)}”.")
    for one in found:
        _row(visit, one, "found")


def _onboarding(visit: Visit, found: RecommendationsOut) -> None:
    """Help someone new: progress, and well-known films of chosen tastes."""
    if found.user_events >= _ENOUGH or (found.user_events >= 1 and len(visit.shelf) >= _ENOUGH):
        return
    with st.container(border=True):
        st.markdown(f"**{_ENOUGH} ratings and it knows you.** What do you like?")
        st.progress(min(found.user_events / _ENOUGH, 1.0), text=f"{found.user_events} of {_ENOUGH} rated")
        names = list(catalogue().genres)[:12]
        liked = st.pills("Tastes", names, selection_mode="multi", key="tastes", label_visibility="collapsed")
        if not liked:
            st.caption("Choose a genre or two, or search above, or rate what the list below has.")
            return
        without = [*visit.passed, *(one.item for one in found.items)]
        known = api().recommend(
            visit.user, k=6, genre=liked, without=without or None, model=_floor(), after=visit.after
        )
        for one in known.items:
            _row(visit, one, "taste")


def _floor() -> str | None:
    """A model of popularity, for films that many know; None where none is learned."""
    return next((one.name for one in models().models if one.floor and one.ranks), None)


def _list(visit: Visit, found: RecommendationsOut, moves: Moves | None) -> None:
    if moves is not None:
        _what_moved(visit.cause, found.items, moves)
    if found.after is not None and found.after.dead_lettered:
        st.error(f"Your last rating could not be used: {', '.join(found.after.dead_lettered)}")
    who = {
        "new user": "nothing is known of you yet: this is what is popular",
        "few events": "still learning you",
    }
    state = who.get(found.cold or "", f"{found.user_events:,} films rated")
    st.caption(f"By {plain(found.model)}, after {found.learned_events:,} events; {state}.")
    if not found.items:
        st.info("Nothing is left: loosen the filters, or wait for the first events.", icon=":material/inbox:")
    for place, one in enumerate(found.items, 1):
        _row(visit, one, "list", place, moves)


def _what_moved(cause: Rated | None, items: Sequence[ItemOut], moves: Moves) -> None:
    """Say what the last rating changed."""
    what = f"You gave {plain(cause.title)} {cause.stars} ★. " if cause is not None else "You took that back. "
    if not moves.moved:
        st.info(f"{what}The list stays as it was.", icon=":material/balance:")
        return
    counts = [
        f"{number} {word}"
        for number, word in (
            (len(moves.entered), "new"),
            (len(moves.risen), "up"),
            (len(moves.fallen), "down"),
        )
        if number
    ]
    lines = [f"{what}**{moves.moved} of {len(items)} moved**: {', '.join(counts)}."]
    for one, weight, share in caused_by(cause.item, items, moves)[:3] if cause is not None else ():
        lines.append(
            f"- **{plain(one.title)}** came up: wired to {plain(cause.title) if cause else ''} with weight {weight:.1f}, "
            f"{100 * share:.0f} % of what speaks for it."
        )
    if len(lines) == 1:
        lines.append("- The order shifted by popularity and recency; no synapse from this film decided it.")
    st.success("\n".join([lines[0], "", *lines[1:]]), icon=":material/bolt:")


def _row(
    visit: Visit, one: ItemOut, where: str, place: int | None = None, moves: Moves | None = None
) -> None:
    """One film with its stars; in the list with its place, its move, and its reasons."""
    with st.container(border=True, key=f"{where}-{one.item}"):
        words, acts = st.columns([0.7, 0.3], vertical_alignment="center")
        number = f"{place}. " if place is not None else ""
        lines = [f"**{number}{plain(titled(one.title, one.year))}** {_moved(one.item, moves)}"]
        genres = " · ".join(one.genres)
        lines.append(f":small[:gray[{plain(genres)}]]" if genres else "")
        if one.text:
            lines.append(f":small[{plain(one.text)}]")
        words.markdown("  \n".join(line for line in lines if line))
        with acts:
            _stars(visit, one, where)


def _stars(visit: Visit, one: ItemOut, where: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        key = f"stars-{where}-{one.item}-{visit.turn}"
        given = visit.shelf.get(one.item)

        def rate() -> None:
            if (chosen := st.session_state.get(key)) is not None:
                visit.rate(one.item, one.title, int(chosen) + 1)

        st.feedback("stars", key=key, default=given.stars - 1 if given else None, on_change=rate)
        if where == "list":
            st.button(
                "",
                icon=":material/close:",
                key=f"skip-{one.item}-{visit.turn}",
                help="Not now",
                type="tertiary",
                on_click=visit.skip,
                args=(one.item,),
            )


def _moved(item: str, moves: Moves | None) -> str:
    if moves is None:
        return ""
    if item in moves.entered:
        return ":green-badge[new]"
    if item in moves.risen:
        return f":green-badge[▲ {moves.risen[item]}]"
    if item in moves.fallen:
        return f":gray-badge[▼ {moves.fallen[item]}]"
    return ""


def _shelf(visit: Visit) -> None:
    st.subheader("This session")
    if not visit.shelf:
        st.caption("What you rate stands here, and can be taken back.")
    for rated in reversed(visit.shelf.values()):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"{plain(rated.title)}  \n:small[:orange[{stars(rated.stars)}]]", width="stretch")
            st.button(
                "Take back",
                key=f"back-{rated.item}-{visit.turn}",
                type="tertiary",
                on_click=visit.take_back,
                args=(rated.item,),
            )
