"""About: what this is, and what it is honest about."""

from __future__ import annotations

import streamlit as st

from serving.page.connection import api_url, models


def show() -> None:
    """Draw the page."""
    st.title("About")
    st.markdown(
        """
Engram learns from every event. It reads ratings as a stream, ranks all films for a user *before* it sees what the user
chose, and learns from the choice the moment after. No training job, and no test set that could leak.

- **A star is an event.** It is durable in the log before the page calls it accepted; the learner learns it within
  milliseconds, and the list that you see next has learned it. A learner that is killed loses none of it.
- **Reasons are read off the state.** "Wired to it with weight 5.2" is the synapse between the two films, in fresh
  co-activations: how often people had the one soon after the other, faded by time.
- **The floor is always there.** Popularity is on the chart; a model that does not beat it is not worth its synapses.
- **Stars are not yet all equal.** The ranking models learn *that* you had a film; how many stars you gave is learned by
  the models that predict ratings, and by the mental image.
- MovieLens data are by GroupLens, University of Minnesota, for research; they are not shipped with this program.
"""
    )
    st.dataframe(
        [
            {
                "model": one.name,
                "ranks": one.ranks,
                "rates": one.rates,
                "floor": one.floor,
                "state (MiB)": round(one.state_bytes / 2**20, 1),
            }
            for one in models().models
        ],
        hide_index=True,
    )
    st.caption(f"API: {api_url()} · its documents: {api_url()}/docs")
