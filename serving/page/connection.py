"""The page's one connection to the API, and what is shown while nobody answers there."""

from __future__ import annotations

import os

import streamlit as st

from serving.client import EngramClient
from serving.insight_bodies import CatalogueOut, ModelsOut
from serving.page.address import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE

_TRY_EVERY_S = 1.0
_KNOWN_FOR_S = 3.0
_BEAT_EVERY_S = 3.0


def api_url() -> str:
    """Where the API is: `ENGRAM_API_URL`, or this machine."""
    return os.environ.get(URL_VARIABLE) or DEFAULT_URL


@st.cache_resource
def api() -> EngramClient:
    """The client of this process; its connections are shared by all visits."""
    return EngramClient(api_url(), os.environ.get(KEY_VARIABLE) or None)


@st.cache_data(ttl=_KNOWN_FOR_S, show_spinner=False)
def catalogue() -> CatalogueOut:
    """What there is to recommend, as of a few seconds ago."""
    client: EngramClient = api()
    return client.catalogue()


@st.cache_data(ttl=_KNOWN_FOR_S, show_spinner=False)
def models() -> ModelsOut:
    """Which models are learned, as of a few seconds ago."""
    client: EngramClient = api()
    return client.models()


def wait_for_the_api(waiting: int) -> None:
    """Say that nobody answers, and look again until somebody does; waiting: ratings that are not accepted yet."""
    st.error(
        f"**The API does not answer** at `{api_url()}`. It is starting, or it has stopped. "
        "This page looks again every second and goes on by itself.",
        icon=":material/cloud_off:",
    )
    if waiting:
        kept = "1 rating is" if waiting == 1 else f"{waiting} ratings are"
        st.info(f"{kept} kept here, and sent when it is back.", icon=":material/schedule:")
    st.caption("Started with `engram app`, it is restarted by itself. Else: `engram serve --port 8000`.")

    @st.fragment(run_every=_TRY_EVERY_S)
    def look() -> None:
        if api().ready():
            st.rerun(scope="app")

    look()


def heartbeat() -> None:
    """One line that says that the learner lives, and how much it has learned; looks every few seconds."""

    @st.fragment(run_every=_BEAT_EVERY_S)
    def beat() -> None:
        if not api().ready():
            st.rerun(scope="app")
        counted = catalogue()
        st.caption(
            f":green[●] {counted.learned_events:,} events learned · {counted.users:,} users · "
            f"{counted.items_had:,} films"
        )

    beat()
