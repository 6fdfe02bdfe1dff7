"""Replay room: a data set that streams by, to be paused and sped up."""

from __future__ import annotations

from typing import Final

import streamlit as st

from serving.insight_bodies import ReplayOut
from serving.page.connection import api
from serving.page.words import day, plain

_EVERY_S: Final = 1.0
_RATES: Final[dict[str, float | None]] = {
    "100 a second": 100.0,
    "500 a second": 500.0,
    "2,000 a second": 2_000.0,
    "5,000 a second": 5_000.0,
    "as fast as it learns": None,
}


def show() -> None:
    """Draw the page."""
    st.title("Replay room")
    st.write("Years of ratings stream by, in the order in which people gave them. Yours go in between.")

    @st.fragment(run_every=_EVERY_S)
    def room() -> None:
        if not api().ready():
            return
        state = api().replay()
        if state is None:
            st.info(
                "No replay runs beside. Start one: `engram app --replay ml-100k`, or `engram serve --replay ml-100k`.",
                icon=":material/movie_off:",
            )
            return
        _progress(state)
        if not state.done:
            _controls(state)

    room()


def _progress(state: ReplayOut) -> None:
    share = state.written / state.total if state.total else 1.0
    said = "finished" if state.done else "paused" if state.paused else "streaming"
    st.progress(share, text=f"{plain(state.dataset)}: {state.written:,} of {state.total:,} events, {said}")
    if state.event_time_ms is not None:
        st.metric("It is now", day(state.event_time_ms))


def _controls(state: ReplayOut) -> None:
    if state.paused:
        st.button(
            "Go on", type="primary", icon=":material/play_arrow:", on_click=_change, args=(False, state.rate)
        )
    else:
        st.button("Pause", icon=":material/pause:", on_click=_change, args=(True, state.rate))
    names = list(_RATES)
    now = next((name for name, rate in _RATES.items() if rate == state.rate), None)

    def chosen() -> None:
        if (name := st.session_state.get("rate")) is not None:
            _change(state.paused, _RATES[name])

    st.segmented_control("Speed", names, default=now, key="rate", on_change=chosen)


def _change(paused: bool, rate: float | None) -> None:
    api().change_replay(paused=paused, rate=rate)
