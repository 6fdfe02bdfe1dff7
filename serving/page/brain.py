"""Brain: the synapses around a person or a film, one neuron's profile, a mental image, and how it all grew."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from serving.client import ApiError, EngramClient
from serving.insight_bodies import NetworkOut
from serving.page import charts
from serving.page.connection import api
from serving.page.visit import Visit
from serving.page.words import day, percent, plain, titled

_NOT_FOUND: Final = 404
_ME, _FILM, _ACTIVE, _GROWTH = "Around me", "Around a film", "Most active", "How it grew"


def show() -> None:
    """Draw the page."""
    st.title("Brain")
    visit: Visit | None = st.session_state.get("visit")
    views = [_ME, _FILM, _ACTIVE, _GROWTH] if visit is not None else [_ACTIVE, _FILM, _GROWTH]
    view = st.segmented_control(
        "View", views, default=views[0], required=True, key="brain-view", label_visibility="collapsed"
    )
    if view == _GROWTH:
        _growth()
        return
    found = _network(str(view), visit)
    if found is None:
        return
    _draw(found, "network")
    _profile(found)
    if visit is not None and view == _ME:
        _mental_image(visit)


def _network(view: str, visit: Visit | None) -> NetworkOut | None:
    """The network that is asked for; what cannot be shown is said."""
    asked: dict[str, Any] = {}
    if view == _FILM:
        text = st.text_input("A film", placeholder="Search: star wars, fargo, …")
        titles = api().search(text[:200], 10)
        if not titles:
            st.info("No title has words that begin so.", icon=":material/search_off:")
            return None
        film = st.selectbox("Which one", titles, format_func=lambda one: titled(one.title, one.year))
        asked["item"] = film.item
    elif view == _ME and visit is not None:
        asked |= {"user": visit.user}
    with st.expander("How much is drawn"):
        neurons = st.slider("Neurons", 10, 100, 40, 5)
        each = st.slider("Synapses of each, the strongest", 1, 10, 4)
    try:
        client: EngramClient = api()
        return client.network(**asked, neurons=neurons, each=each)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        st.info(
            "Nothing is wired there yet: rate a film under *For you*."
            if view == _ME
            else f"Nothing to draw: {plain(error.detail)}.",
            icon=":material/neurology:",
        )
        return None


def _draw(found: NetworkOut, key: str) -> None:
    st.plotly_chart(
        charts.network(found),
        key=key,
        config={"displayModeBar": False},
        alt=f"{len(found.neurons)} films and {len(found.synapses)} synapses in {found.communities} communities",
    )
    st.caption(
        f"{len(found.neurons)} neurons and their {len(found.synapses)} strongest synapses in {plain(found.model)}, after "
        f"{found.learned_events:,} events. Colour: community (Louvain; {found.communities}, modularity "
        f"{found.modularity:.2f}). Width: weight. Size: activity. Red ring: what this is around."
    )


def _profile(found: NetworkOut) -> None:
    """One neuron of those drawn."""
    st.subheader("One neuron")
    if not found.neurons:
        return
    ordered = sorted(found.neurons, key=lambda one: (not one.centre, -one.activity))
    one = st.selectbox("Film", ordered, format_func=lambda neuron: neuron.title, label_visibility="collapsed")
    said = api().item(one.item)
    for column, (label, value) in zip(
        st.columns(3),
        (
            ("Activity", f"{said.activity:,.1f}"),
            ("Synapses that leave it", f"{said.synapses:,}"),
            ("Users who had it", f"{one.popularity:,}"),
        ),
        strict=True,
    ):
        column.metric(label, value)
    if said.bonds:
        st.plotly_chart(charts.profile(said), key="profile", config={"displayModeBar": False})
    else:
        st.caption("No synapse leaves it yet.")


def _mental_image(visit: Visit) -> None:
    st.subheader("Your mental image")
    said = api().user(visit.user)
    if not said.mental_image:
        st.info(
            "A mental image is what a WiSARD network remembers of your likes and dislikes. None is learned here: start "
            "with `--model wisard`, and rate a few films.",
            icon=":material/visibility_off:",
        )
        return
    st.plotly_chart(charts.mental_image(said), key="image", config={"displayModeBar": False})
    st.caption("The bits of what you rated that tell your likes from your dislikes most.")


def _growth() -> None:
    said = api().growth()
    if not said.looks:
        st.info("Nothing was learned since the API was started. Rate a film, or start a replay.", icon="🌱")
        return
    st.plotly_chart(charts.growth(said), key="growth", config={"displayModeBar": False})
    events = [look.learned_events for look in said.looks]
    at = st.select_slider("Scrub", events, events[-1]) if len(events) > 1 else events[0]
    look = said.looks[events.index(at)]
    st.caption(
        f"{day(look.event_time_ms)}: {look.synapses:,} synapses, {percent(look.density)} of those that could be. Looks are "
        "taken since the API was started, ever further apart."
    )
    _draw(api().network(at=at), "then")
