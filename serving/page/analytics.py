"""Analytics: the films there are, a person's taste beside them, and what lists are made of."""

from __future__ import annotations

import itertools

import streamlit as st

from serving.bodies import ItemOut
from serving.insight_bodies import CatalogueOut
from serving.page import charts
from serving.page.connection import api, catalogue
from serving.page.visit import Visit
from serving.page.words import plain

_AXES = 10


def show() -> None:
    """Draw the page."""
    st.title("Analytics")
    known = catalogue()
    visit: Visit | None = st.session_state.get("visit")
    if visit is None:
        st.info("Become a user under *For you* to see your own taste here.", icon=":material/person:")
    else:
        _taste(visit, known)
    _lists()
    _films(known)


def _taste(visit: Visit, known: CatalogueOut) -> None:
    st.subheader("Your taste")
    said = api().user(visit.user)
    axes = list(known.genres)[:_AXES]
    if not said.taste or len(axes) < 3:
        st.info("Rate a film, and its genres appear here.", icon=":material/radar:")
        return
    total = sum(known.genres.values()) or 1
    everything = {genre: count / total for genre, count in known.genres.items()}
    mine = f"{visit.user}: last {min(said.events, 50)} films"
    st.plotly_chart(
        charts.radar({mine: said.taste, "all films": everything}, axes),
        key="radar",
        config={"displayModeBar": False},
    )
    unexplored = [genre for genre in known.genres if genre not in said.taste and genre != "unknown"]
    if unexplored:
        st.markdown("**Not explored yet:** " + ", ".join(plain(genre) for genre in unexplored))
    listed = api().recommend(visit.user, k=20).items
    genres = {genre for one in listed for genre in one.genres}
    with st.container(horizontal=True):
        st.metric("Diversity of your list of 20", f"{diversity(listed):.2f}", border=True)
        st.metric("Genres in it", f"{len(genres)} of {len(known.genres)}", border=True)
        years = [one.year for one in listed if one.year]
        st.metric("Years in it", f"{min(years)} to {max(years)}" if years else "unknown", border=True)
    st.caption("Diversity: mean over pairs of how different their genres are (1 less the Jaccard index).")


def diversity(items: list[ItemOut]) -> float:
    """Mean over pairs of 1 less the Jaccard index of their genres; 0 for fewer than two items."""
    distances = [
        1.0 - len(set(a.genres) & set(b.genres)) / (len(set(a.genres) | set(b.genres)) or 1)
        for a, b in itertools.combinations(items, 2)
    ]
    return sum(distances) / len(distances) if distances else 0.0


def _lists() -> None:
    st.subheader("What is recommended to all")
    said = api().prequential()
    rows = [
        {"model": model, **{name.replace("_", " "): value for name, value in of.items()}}
        for model, of in said.beyond.items()
        if of
    ]
    if not rows:
        st.info("No lists were noted yet: every 256th event one is.", icon=":material/list:")
        return
    st.dataframe(rows, hide_index=True)
    st.caption(
        "Of lists noted at every 256th event. Coverage: share of the films known by then that were in any list; Gini: how "
        "unequally often; novelty in bits."
    )


def _films(known: CatalogueOut) -> None:
    st.subheader("The films")
    with st.container(horizontal=True):
        st.metric("Films", f"{known.items:,}", border=True)
        st.metric("Had by anybody", f"{known.items_had:,}", border=True)
        st.metric("Users", f"{known.users:,}", border=True)
        st.metric("Events learned", f"{known.learned_events:,}", border=True)
    if known.genres:
        st.plotly_chart(charts.bars(known.genres, "films"), key="genres", config={"displayModeBar": False})
    if known.decades:
        decades = {f"{decade}s": count for decade, count in known.decades.items()}
        st.plotly_chart(charts.bars(decades, "films"), key="decades", config={"displayModeBar": False})
    if not known.genres and not known.decades:
        st.info("Nothing is known of the films: the topic `items` is empty.", icon=":material/inbox:")
