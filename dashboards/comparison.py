"""The board "Which model?": differences with intervals, the sequential test, drift."""

from __future__ import annotations

from dashboards.panels import MODEL, SPAN, Board, Panel, Query, Row, at, increase, per_second

_NO_BATCH = "the learner has no model batch"
_NO_TRAINER = "no trainer runs (engram train --watch)"

COMPARISON = Board(
    uid="engram-models",
    title="Engram: which model?",
    question="Which model is better, by how much, and how sure that is.",
    variables=(MODEL, SPAN),
    rows=(
        Row(
            title="Differences of Recall@10, on the same events",
            panels=(
                Panel(
                    width=24,
                    title="Difference to a baseline",
                    question="Above 0 the model is better than the baseline, over all events so far, each judged on the very "
                    "same events.",
                    unit="percentunit",
                    queries=(
                        Query(
                            expr=at("engram_prequential_difference_ratio", model="~$model"),
                            legend="{{model}} less {{baseline}}",
                        ),
                    ),
                ),
                Panel(
                    width=24,
                    title="Interval of the difference",
                    question="Is 0 outside of it? Ends of the 95 % interval, robust to the dependence of events of one session.",
                    unit="percentunit",
                    queries=(
                        Query(
                            expr=at("engram_prequential_difference_low_ratio", model="~$model"),
                            legend="low: {{model}} less {{baseline}}",
                        ),
                        Query(
                            expr=at("engram_prequential_difference_high_ratio", model="~$model"),
                            legend="high: {{model}} less {{baseline}}",
                        ),
                    ),
                ),
                Panel(
                    title="Decided by the sequential test",
                    question="1: the model was found better, -1: the baseline; 0: not decided. Unlike a p-value it may be looked at "
                    "at any time.",
                    unit="short",
                    least=-1.0,
                    greatest=1.0,
                    queries=(
                        Query(
                            expr=at("engram_prequential_difference_decided", model="~$model"),
                            legend="{{model}} against {{baseline}}",
                        ),
                    ),
                ),
                Panel(
                    title="p-value of the moment",
                    question="How surprising would the difference be if there were none? Beside the interval, never alone: it is not "
                    "corrected for looking often.",
                    unit="percentunit",
                    least=0.0,
                    greatest=1.0,
                    queries=(
                        Query(
                            expr=at("engram_prequential_difference_p_ratio", model="~$model"),
                            legend="{{model}} against {{baseline}}",
                        ),
                    ),
                ),
                Panel(
                    width=24,
                    kind="bargauge",
                    title="Recall@10 by model",
                    question="The order of the models over the chosen span.",
                    unit="percentunit",
                    decimals=1,
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sort_desc({at('engram_prequential_recall_ratio', model='~$model', k='10', span='$span')})",
                            legend="{{model}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Change",
            panels=(
                Panel(
                    title="Drifts detected",
                    question="Has the stream changed for a model? Each peak is a detection; the annotations on all boards are these.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum by (model, detector) ({increase('engram_drift_detected_total')})",
                            legend="{{model}} ({{detector}})",
                        ),
                    ),
                ),
                Panel(
                    floor=True,
                    title="Short against long windows",
                    question="Does the last thousand events lie below the last ten thousand? Then quality is falling just now.",
                    unit="percentunit",
                    queries=(
                        Query(
                            expr=at(
                                "engram_prequential_recall_ratio", model="~$model", k="10", span="window_1000"
                            )
                            + " - ignoring (span) "
                            + at(
                                "engram_prequential_recall_ratio",
                                model="~$model",
                                k="10",
                                span="window_10000",
                            ),
                            legend="{{model}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Batch models",
            panels=(
                Panel(
                    title="Steps of versions",
                    question="Does retraining reach the stream? Adopted, promoted, rolled back, refused (by reason).",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum by (step) ({increase('engram_batch_steps_total')})",
                            legend="{{step}}",
                            may_be_empty=_NO_BATCH,
                        ),
                        Query(
                            expr=f"sum by (reason) ({increase('engram_batch_refused_total')})",
                            legend="refused: {{reason}}",
                            may_be_empty=_NO_BATCH,
                        ),
                    ),
                ),
                Panel(
                    title="Version in use",
                    question="Which version does each batch model score with? A straight line below the newest is a lane behind.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"min by (model) ({at('engram_batch_version')})",
                            legend="in use: {{model}}",
                            may_be_empty=_NO_BATCH,
                        ),
                        Query(
                            expr=f"max by (model) ({at('engram_trained_version')})",
                            legend="newest: {{model}}",
                            may_be_empty=_NO_TRAINER,
                        ),
                    ),
                ),
                Panel(
                    title="Trainings",
                    question="Does the trainer train when it should?",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({increase('engram_trainings_total')})",
                            legend="trainings",
                            may_be_empty=_NO_TRAINER,
                        ),
                    ),
                ),
                Panel(
                    title="Time of a training",
                    question="What does a version cost? The mean of those that were announced in between.",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({increase('engram_training_seconds_sum')}) / "
                            f"clamp_min(sum({increase('engram_training_seconds_count')}), 1e-9)",
                            legend="mean time",
                            may_be_empty=_NO_TRAINER,
                        ),
                    ),
                ),
                Panel(
                    title="Age of the newest version",
                    question="How old is what the trainer gave last? Older than its schedule: does it still follow the log?",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"min(time() - {at('engram_training_timestamp_seconds')})",
                            legend="newest version",
                            may_be_empty=_NO_TRAINER,
                        ),
                    ),
                ),
                Panel(
                    title="Events that the trainer has read",
                    question="Does the trainer follow the log as fast as the learners?",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({per_second('engram_trainer_events_total')})",
                            legend="trainer",
                            may_be_empty=_NO_TRAINER,
                        ),
                        Query(expr=f"sum({per_second('engram_events_learned_total')})", legend="learners"),
                    ),
                ),
                Panel(
                    title="Pause of a swap",
                    question="How long does the loop stand still to adopt a version? Above 0.1 s, live events notice.",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(
                            expr="histogram_quantile(0.99, sum by (le) "
                            f"({increase('engram_batch_swap_seconds_bucket')}))",
                            legend="99 %",
                            may_be_empty="no version was adopted",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
