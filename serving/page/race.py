"""Race: the models on the prequential curve, live; the popularity floor is always there."""

from __future__ import annotations

import streamlit as st

from serving.insight_bodies import PrequentialOut
from serving.page import charts
from serving.page.connection import api, models
from serving.page.words import plain

_EVERY_S = 2.0
_MEASURES = ("recall@10", "ndcg@10", "mrr@10")


def show() -> None:
    """Draw the page."""
    st.title("Race")
    st.write(
        "Each model guesses every event before it learns it. Recall@10: how often the film was among its first ten of all "
        "films. Dashed: popularity, the floor that a model has to beat."
    )
    live = st.toggle("Live", value=True, help="Looks again every two seconds.")

    @st.fragment(run_every=_EVERY_S if live else None)
    def figures() -> None:
        if api().ready():
            _figures(api().prequential(), [one.name for one in models().models if one.floor])

    figures()


def _figures(said: PrequentialOut, floors: list[str]) -> None:
    if not said.events or not said.curve:
        st.info("No event was predicted yet. Rate a film, or start a replay.", icon=":material/flag:")
        return
    _podium(said, floors)
    st.plotly_chart(charts.race(said, floors), key="race", config={"displayModeBar": False})
    span = (said.curve_span or "").removeprefix("window_")
    of = f" of {said.total_events:,}" if said.total_events and said.events <= said.total_events else ""
    st.caption(
        f"{said.events:,}{of} events; each point is over the {int(span):,} events before it. "
        if span.isdigit()
        else f"{said.events:,} events. "
    )
    _marks(said)
    _significance(said)
    _table(said, floors)


def _podium(said: PrequentialOut, floors: list[str]) -> None:
    """The best models, and how far above the best floor they are."""
    scores = {model: (spans.get("all") or {}).get("recall@10") for model, spans in said.figures.items()}
    ranked = sorted(((score, model) for model, score in scores.items() if score is not None), reverse=True)
    floor = max((score for score, model in ranked if model in floors), default=None)
    with st.container(horizontal=True):
        for score, model in ranked[:4]:
            above = None
            if floor and model not in floors:
                above = f"{score / floor:.1f} times the floor"
            st.metric(
                f"{model} (floor)" if model in floors else model,
                f"{score:.4f}",
                above,
                delta_color="normal",
                border=True,
            )


def _marks(said: PrequentialOut) -> None:
    drifts, steps = len(said.drifts), len(said.hand_overs)
    if drifts or steps:
        st.caption(
            f"Along the lower edge: ▲ drifts noticed ({drifts}), ★ hand-overs of batch models ({steps})."
        )
    else:
        st.caption("No drift noticed, and no hand-over of a batch model, so far.")


def _significance(said: PrequentialOut) -> None:
    st.subheader("Is it more than luck?")
    if said.significance is None or not any(pair.difference is not None for pair in said.significance.pairs):
        st.caption("Too few sessions yet to say.")
        return
    st.plotly_chart(charts.differences(said), key="differences", config={"displayModeBar": False})
    decided = [
        f"{pair.better} over {pair.baseline if pair.better == pair.model else pair.model} (at event {pair.decided_at:,})"
        for pair in said.significance.pairs
        if pair.better and pair.decided_at is not None
    ]
    st.caption(
        "Intervals of 95 %, robust within sessions; green: 0 is outside. "
        + (
            f"A test that holds however often one looks (alpha {said.significance.alpha:g}) has decided: "
            f"{'; '.join(plain(one) for one in decided)}."
            if decided
            else "The test that holds however often one looks has decided nothing yet."
        )
    )


def _table(said: PrequentialOut, floors: list[str]) -> None:
    rows = [
        {
            "model": f"{model} (floor)" if model in floors else model,
            "over": span,
            **{measure: (figures or {}).get(measure) for measure in _MEASURES},
        }
        for model, spans in said.figures.items()
        for span, figures in spans.items()
        if figures and span in {"all", "last_70", said.curve_span}
    ]
    with st.expander("Figures"):
        st.dataframe(rows, hide_index=True, column_config={name: _NUMBER for name in _MEASURES})


_NUMBER = st.column_config.NumberColumn(format="%.5f")
