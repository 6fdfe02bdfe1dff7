"""The page's entry: `streamlit run` starts here. Finds out whether the API answers, then shows the chosen page."""

from __future__ import annotations

import streamlit as st

from serving.client import ApiError, UnreachableError
from serving.page import about, analytics, brain, for_you, race, replay_room
from serving.page.connection import api, heartbeat, wait_for_the_api
from serving.page.visit import Visit

_NOT_READY = 500
_STYLE = """
<style>
.block-container { padding-top: 4rem; padding-bottom: 3rem; max-width: 78rem; }
@media (max-width: 640px) {
  .block-container { padding: 4rem .8rem 2rem; }
  h1 { font-size: 1.6rem !important; }
}
</style>
"""


def main() -> None:
    """Run the page once, as Streamlit does at each change."""
    st.set_page_config(page_title="Engram", page_icon="🧠", layout="wide")
    st.html(_STYLE)
    chosen = st.navigation(
        [
            st.Page(for_you.show, title="For you", url_path="for-you", default=True),
            st.Page(brain.show, title="Brain", url_path="brain"),
            st.Page(race.show, title="Race", url_path="race"),
            st.Page(analytics.show, title="Analytics", url_path="analytics"),
            st.Page(replay_room.show, title="Replay room", url_path="replay-room"),
            st.Page(about.show, title="About", url_path="about"),
        ],
        position="top",
    )
    visit: Visit | None = st.session_state.get("visit")
    if visit is None and (user := st.query_params.get("user", "")):
        visit = st.session_state["visit"] = Visit(user)
    if (visit is not None and not visit.send(api())) or not api().ready():
        wait_for_the_api(len(visit.waiting) if visit is not None else 0)
        return
    try:
        chosen.run()
        heartbeat()
    except UnreachableError:
        st.rerun()
    except ApiError as error:
        if error.status >= _NOT_READY:
            st.warning(f"The API is busy: {error.detail}. Looking again.", icon=":material/hourglass:")
            wait_for_the_api(0)
        else:
            st.error(f"The API refused: {error.detail}", icon=":material/error:")


if __name__ == "__main__":
    main()
