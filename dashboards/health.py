"""The board "Is it healthy?": throughput, lag, accounting, dead letters, checkpoints."""

from __future__ import annotations

from dashboards.panels import Board, Panel, Query, Row, at, increase, per_second

_RED_ABOVE_ZERO = {None: "green", 1e-9: "red"}

_API_ONLY = "only where the API runs (engram serve)"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share:g}, sum by (le) ({per_second(metric + '_bucket')}))"


HEALTH = Board(
    uid="engram-health",
    title="Engram: is it healthy?",
    question="Whether every event is taken, once, in time; and what would be lost now.",
    rows=(
        Row(
            title="Now",
            panels=(
                Panel(
                    kind="stat",
                    width=5,
                    height=5,
                    title="Processes up",
                    question="Do all scraped processes answer? Fewer than are deployed: see the runbook EngramProcessDown.",
                    unit="short",
                    steps={None: "red", 1.0: "green"},
                    queries=(Query(expr='sum(up{job=~"$job", instance=~"$instance"})', legend="up"),),
                ),
                Panel(
                    kind="stat",
                    width=5,
                    height=5,
                    title="Events unaccounted for",
                    question="Accepted events that were neither learned nor refused, doubled nor waiting. Not 0: events were "
                    "lost, see the runbook EngramAccountingBroken.",
                    unit="short",
                    steps={None: "red", 0.0: "green", 1e-9: "red"},
                    queries=(Query(expr=f"sum({at('engram_events_unaccounted')})", legend="events"),),
                ),
                Panel(
                    kind="stat",
                    width=5,
                    height=5,
                    title="Lag",
                    question="How many messages of the log are not learned yet?",
                    unit="short",
                    queries=(Query(expr=f"sum({at('engram_learner_lag_events')})", legend="messages"),),
                ),
                Panel(
                    kind="stat",
                    width=5,
                    height=5,
                    title="Age of the last checkpoint",
                    question="How much would a restart learn again? It repeats what came after the checkpoint, losing nothing.",
                    unit="s",
                    decimals=0,
                    steps={None: "green", 120.0: "yellow", 600.0: "red"},
                    queries=(
                        Query(
                            expr=f"max(time() - {at('engram_checkpoint_timestamp_seconds')})", legend="age"
                        ),
                    ),
                ),
                Panel(
                    kind="stat",
                    width=4,
                    height=5,
                    title="Dead letters",
                    question="Share of the events of the last minutes that could not be used. A bad producer shows here first.",
                    unit="percentunit",
                    decimals=2,
                    steps={None: "green", 0.001: "yellow", 0.01: "red"},
                    queries=(
                        Query(
                            expr=f"sum({per_second('engram_events_dead_lettered_total')}) / "
                            f"clamp_min(sum({per_second('engram_events_accepted_total')}), 1)",
                            legend="share",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Throughput and lag",
            panels=(
                Panel(
                    title="Events a second",
                    question="Does the learner keep up with what arrives, and the evaluator with the learner?",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(expr=f"sum({per_second('engram_events_accepted_total')})", legend="accepted"),
                        Query(expr=f"sum({per_second('engram_events_learned_total')})", legend="learned"),
                        Query(
                            expr=f"sum({per_second('engram_prequential_events_total')})", legend="evaluated"
                        ),
                    ),
                ),
                Panel(
                    title="Lag by partition",
                    question="Does one partition fall behind the others? Messages of the log; a replay packs several events "
                    "in one.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("engram_learner_lag_events"),
                            legend="{{instance}} partition {{partition}}",
                        ),
                    ),
                ),
                Panel(
                    title="Lag in seconds",
                    question="How long ago did the log take what is being learned and evaluated now?",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(expr=f"max({at('engram_learner_lag_seconds')})", legend="learner"),
                        Query(expr=f"max({at('engram_prequential_lag_seconds')})", legend="evaluator"),
                    ),
                ),
                Panel(
                    title="Waiting for their turn",
                    question="Events that are held back until every partition has shown that nothing earlier can follow. "
                    "Growing while nothing is learned: a partition gives no watermark.",
                    unit="short",
                    least=0.0,
                    queries=(Query(expr=f"sum({at('engram_events_waiting')})", legend="events"),),
                ),
                Panel(
                    title="Watermark delay",
                    question="By how much does the event time of what waits run ahead of what is learned? 0 with one partition.",
                    unit="s",
                    least=0.0,
                    queries=(Query(expr=f"max({at('engram_watermark_delay_seconds')})", legend="delay"),),
                ),
                Panel(
                    title="Time of a batch",
                    question="How long does a polled batch take, to rank, learn and publish? It bounds the age of a live answer.",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(expr=_quantile(0.5, "engram_learner_batch_seconds"), legend="median"),
                        Query(expr=_quantile(0.99, "engram_learner_batch_seconds"), legend="99 %"),
                    ),
                ),
            ),
        ),
        Row(
            title="Sharing the partitions",
            panels=(
                Panel(
                    title="Partitions by learner",
                    question="Has the group shared the topic out evenly, and is every partition learned?",
                    unit="short",
                    least=0.0,
                    stacked=True,
                    queries=(Query(expr=at("engram_partitions_owned"), legend="{{instance}}"),),
                ),
                Panel(
                    title="Rebalances",
                    question="Does the group find no rest? Revoked: handed over in order. Lost: taken away from a learner "
                    "that was too late. See the runbook EngramRebalancing.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum by (change) ({increase('engram_rebalances_total')})",
                            legend="{{change}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="API",
            panels=(
                Panel(
                    title="Requests a second",
                    question="What is asked, and how much?",
                    unit="reqps",
                    least=0.0,
                    stacked=True,
                    queries=(
                        Query(
                            expr=f"sum by (route) ({per_second('engram_http_requests_total')})",
                            legend="{{route}}",
                            may_be_empty=_API_ONLY,
                        ),
                    ),
                ),
                Panel(
                    title="Share of errors",
                    question="How many requests are refused (4xx), or fail (5xx)?",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum by (status) ({per_second('engram_http_requests_total', status='~4xx|5xx')}) / on () "
                            f"group_left () sum({per_second('engram_http_requests_total')})",
                            legend="{{status}}",
                            may_be_empty=_API_ONLY,
                        ),
                    ),
                ),
                Panel(
                    width=24,
                    title="Time of a request, 99 %",
                    question="How long does the slowest of a hundred wait, by route?",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"histogram_quantile(0.99, sum by (le, route) "
                            f"({per_second('engram_http_request_seconds_bucket')}))",
                            legend="{{route}}",
                            may_be_empty=_API_ONLY,
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Nothing lost, nothing twice",
            panels=(
                Panel(
                    title="Dead letters by reason",
                    question="What is wrong with the events that are refused? `engram dlq list` shows them.",
                    unit="ops",
                    least=0.0,
                    stacked=True,
                    queries=(
                        Query(
                            expr=f"sum by (reason) ({per_second('engram_events_dead_lettered_total')}) > 0",
                            legend="{{reason}}",
                            may_be_empty="there are none",
                        ),
                    ),
                ),
                Panel(
                    title="Repeats and duplicates",
                    question="Duplicates are retries, dropped by identity. Repeats are a user's second event of an item: learned, "
                    "not ranked.",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({per_second('engram_events_duplicate_total')})", legend="duplicates"
                        ),
                        Query(expr=f"sum({per_second('engram_events_repeated_total')})", legend="repeats"),
                    ),
                ),
                Panel(
                    title="Taken back",
                    question="Are retractions and wishes to be forgotten honoured as they come?",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({per_second('engram_events_corrected_total')})", legend="corrections"
                        ),
                        Query(
                            expr=f"sum({per_second('engram_forgotten_users_total')})",
                            legend="forgotten users",
                        ),
                    ),
                ),
                Panel(
                    title="Time of a checkpoint",
                    question="Does a checkpoint hold up the loop? Its time is a pause.",
                    unit="s",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({per_second('engram_checkpoint_seconds_sum')}) / "
                            f"clamp_min(sum({per_second('engram_checkpoint_seconds_count')}), 1e-9)",
                            legend="mean time",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
