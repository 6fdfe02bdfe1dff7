"""The board "Is it learning?": prequential quality of every model, and the popularity floor beside it."""

from __future__ import annotations

from dashboards.panels import MODEL, SPAN, Board, Panel, Query, Row, at, increase

FLOOR_MODELS = "~popularity|decayed_popularity"
_NOT_FLOOR = 'model!~"popularity|decayed_popularity|random"'
_RATES_ONLY = "only models that predict ratings have it"
_COLD_ONLY = "only models that know the catalogue rank items that nobody has had"


def _by_model(metric: str, k: str = "10", **labels: str) -> Query:
    return Query(expr=at(metric, model="~$model", k=k, span="$span", **labels), legend="{{model}}")


def _best(span: str) -> str:
    return f"max({at('engram_prequential_recall_ratio', k='10', span=span)[:-1]}, {_NOT_FLOOR}}})"


def _floor(span: str) -> str:
    return f"max({at('engram_prequential_recall_ratio', k='10', span=span, model=FLOOR_MODELS)})"


_USER_SLICES = {
    "user_1": "first event",
    "user_2_5": "events 2 to 5",
    "user_6_20": "events 6 to 20",
    "user_21": "event 21 and later",
}
_ITEM_SLICES = {
    "item_1_9": "had 1 to 9 times",
    "item_10_99": "had 10 to 99 times",
    "item_100_999": "had 100 to 999 times",
    "item_1000": "had 1,000 times and more",
}


def _slices(names: dict[str, str]) -> tuple[Query, ...]:
    return tuple(
        Query(
            expr=f"max({at('engram_prequential_slice_recall_ratio', model='~$model', slice=name)})",
            legend=legend,
            may_be_empty="the stream has none yet",
        )
        for name, legend in names.items()
    )


LEARNING = Board(
    uid="engram-learning",
    title="Engram: is it learning?",
    question="Whether recommendations are better than popularity, and stay so.",
    variables=(MODEL, SPAN),
    rows=(
        Row(
            title="Now",
            panels=(
                Panel(
                    kind="stat",
                    width=6,
                    height=5,
                    title="Best Recall@10",
                    question="How often is the item that a user takes next among the ten that the best model would have "
                    "shown? Over the chosen span; test-then-train, so no event is judged by a model that knew it.",
                    unit="percentunit",
                    decimals=1,
                    queries=(Query(expr=_best("$span"), legend="best model"),),
                ),
                Panel(
                    kind="stat",
                    width=6,
                    height=5,
                    title="Above the popularity floor",
                    question="How much better is the best model than showing everybody what is popular? Red: it is "
                    "worse, and should not be served.",
                    unit="percentunit",
                    decimals=1,
                    steps={None: "red", 0.0: "yellow", 0.01: "green"},
                    queries=(Query(expr=f"{_best('$span')} - {_floor('$span')}", legend="difference"),),
                ),
                Panel(
                    kind="stat",
                    width=6,
                    height=5,
                    title="Events evaluated",
                    question="How many events were judged in the time that is shown? Below a few thousand, figures mean little.",
                    unit="short",
                    decimals=0,
                    queries=(
                        Query(
                            expr=f"sum({increase('engram_prequential_events_total', '$__range')})",
                            legend="events",
                        ),
                    ),
                ),
                Panel(
                    kind="stat",
                    width=6,
                    height=5,
                    title="Event time",
                    question="Which moment of the stream has been learned last? In a replay the past, live about now.",
                    unit="dateTimeAsIso",
                    queries=(
                        Query(expr=f"max({at('engram_learner_event_time_seconds')}) * 1000", legend="clock"),
                    ),
                ),
            ),
        ),
        Row(
            title="Ranking",
            panels=(
                Panel(
                    width=24,
                    height=10,
                    floor=True,
                    title="Recall@10 by model",
                    question="Is every model above the floor (grey, dashed), and does the distance grow as the stream "
                    "goes on? A fall of all models at once is a change in the stream; of one, in that model.",
                    unit="percentunit",
                    least=0.0,
                    queries=(_by_model("engram_prequential_recall_ratio"),),
                ),
                Panel(
                    floor=True,
                    title="NDCG@10 by model",
                    question="Does the item stand high within the ten? NDCG@10 falls behind Recall@10 when hits are low.",
                    unit="percentunit",
                    least=0.0,
                    queries=(_by_model("engram_prequential_ndcg_ratio"),),
                ),
                Panel(
                    floor=True,
                    title="MRR@10 by model",
                    question="How near to the first place is the item, on average? Beyond ten it counts as 0.",
                    unit="percentunit",
                    least=0.0,
                    queries=(_by_model("engram_prequential_mrr_ratio"),),
                ),
                Panel(
                    width=12,
                    floor=True,
                    title="Recall@10 since the beginning",
                    question="The figure of reports: the mean over all events so far. It moves slowly by its nature.",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("engram_prequential_recall_ratio", model="~$model", k="10", span="all"),
                            legend="{{model}}",
                        ),
                    ),
                ),
                Panel(
                    width=12,
                    floor=True,
                    title="Recall@5, 10 and 20 of the best model",
                    question="Would a shorter list lose much? Flat between 10 and 20: the rest of the catalogue hides it.",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"max by (k) ({at('engram_prequential_recall_ratio', model='~$model', span='$span')})",
                            legend="top {{k}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Whom it serves",
            panels=(
                Panel(
                    kind="bargauge",
                    title="Recall@10 by age of the user",
                    question="Are new users (first event, 2 to 5) served, or only regulars? Of the best model.",
                    unit="percentunit",
                    decimals=1,
                    least=0.0,
                    queries=_slices(_USER_SLICES),
                ),
                Panel(
                    kind="bargauge",
                    title="Recall@10 by popularity of the item",
                    question="Are rare items ever found? Zero in the lowest band: the best model shows what is popular only.",
                    unit="percentunit",
                    decimals=1,
                    least=0.0,
                    queries=_slices(_ITEM_SLICES),
                ),
                Panel(
                    title="Recall@10 of items never seen before",
                    question="Does a model find a new item by what is known of it? By chance it would be 10 in the catalogue.",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("engram_prequential_cold_recall_ratio", model="~$model", span="all"),
                            legend="{{model}}",
                            may_be_empty=_COLD_ONLY,
                        ),
                    ),
                ),
                Panel(
                    title="Serendipity@10 by model",
                    question="How many of the hits would popularity not have had?",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at(
                                "engram_prequential_serendipity_ratio", model="~$model", k="10", span="all"
                            ),
                            legend="{{model}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Beyond accuracy",
            panels=tuple(
                Panel(
                    title=title,
                    question=question,
                    unit=unit,
                    width=12,
                    least=0.0,
                    queries=(
                        Query(expr=at(metric, model="~$model", k="20", span="all"), legend="{{model}}"),
                    ),
                )
                for metric, title, unit, question in (
                    (
                        "engram_prequential_coverage_ratio",
                        "Coverage@20 by model",
                        "percentunit",
                        "Which share of the items is shown to anybody? Low: most of the catalogue is dead.",
                    ),
                    (
                        "engram_prequential_gini_ratio",
                        "Gini index@20 by model",
                        "percentunit",
                        "How unevenly are items shown? At 1 everybody sees the same few.",
                    ),
                    (
                        "engram_prequential_novelty_bits",
                        "Novelty@20 by model",
                        "short",
                        "How surprising is what is shown, in bits? Ten bits: one user in a thousand has had it.",
                    ),
                    (
                        "engram_prequential_diversity_ratio",
                        "Diversity@20 by model",
                        "percentunit",
                        "How unlike are the items of one list by genre? At 0 they are all of one kind.",
                    ),
                )
            ),
        ),
        Row(
            title="Ratings",
            panels=(
                Panel(
                    title="RMSE and MAE of predicted ratings",
                    question="How far are predicted ratings from the given ones, in units of the scale? Below the spread of "
                    "an item's own ratings a model knows something of the user.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("engram_prequential_rating_rmse", model="~.*", span="all"),
                            legend="RMSE {{model}}",
                            may_be_empty=_RATES_ONLY,
                        ),
                        Query(
                            expr=at("engram_prequential_rating_mae", model="~.*", span="all"),
                            legend="MAE {{model}}",
                            may_be_empty=_RATES_ONLY,
                        ),
                    ),
                ),
                Panel(
                    title="AUC and accuracy of likes",
                    question="Can it tell what a user will like? An AUC of 0.5 is a coin.",
                    unit="percentunit",
                    queries=(
                        Query(
                            expr=at("engram_prequential_like_auc_ratio", model="~.*", span="all"),
                            legend="AUC {{model}}",
                            may_be_empty=_RATES_ONLY,
                        ),
                        Query(
                            expr=at("engram_prequential_like_accuracy_ratio", model="~.*", span="all"),
                            legend="accuracy {{model}}",
                            may_be_empty=_RATES_ONLY,
                        ),
                    ),
                ),
            ),
        ),
    ),
)
