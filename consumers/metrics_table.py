"""Every Prometheus metric of the project, in one table: `python -m consumers.metrics_table` prints it as Markdown.

Names follow Prometheus: prefix `engram_`, base units (seconds, bytes, ratios from 0 to 1), `_total` for counters
and only for them. Labels have few values, known beforehand: never ids or free text. Panels and alerts may name
only what is here.
"""

from __future__ import annotations

from typing import Final

from consumers.metric import MILLISECONDS_TO_SECONDS, Metric, MetricType, Process
from consumers.service_metrics_table import API_METRICS, TRAINER_METRICS

_COUNTER, _GAUGE, _HISTOGRAM = MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM
_LEARNER, _EVALUATOR = Process.LEARNER, Process.EVALUATOR
_FIGURE_LABELS = ("model", "k", "span")
_PAIR_LABELS = ("model", "baseline")
REBALANCES: Final = ("assigned", "revoked", "lost")

METRICS: Final = (
    Metric(
        _LEARNER, "engram_events_accepted_total", _COUNTER, "events", (),
        "Events taken from the log, as the messages' headers declare them.", "Throughput; accounting.",
    ),
    Metric(
        _LEARNER, "engram_events_learned_total", _COUNTER, "events", (),
        "Events that the models learned from, repeats included.", "Throughput; accounting.",
    ),
    Metric(
        _LEARNER, "engram_events_repeated_total", _COUNTER, "events", (),
        "Learned events whose user already had the item: they are not ranked.", "Share of repeats.",
    ),
    Metric(
        _LEARNER, "engram_events_duplicate_total", _COUNTER, "events", (),
        "Events dropped because their identity was learned before.", "Retries; accounting.",
    ),
    Metric(
        _LEARNER, "engram_events_dead_lettered_total", _COUNTER, "events", ("reason",),
        "Events that cannot be used, by reason.", "Alert on bad producers; accounting.",
    ),
    Metric(
        _LEARNER, "engram_events_waiting", _GAUGE, "events", (),
        "Events accepted that wait for their turn in the merged order.", "Stalled partitions; accounting.",
    ),
    Metric(
        _LEARNER, "engram_events_unaccounted", _GAUGE, "events", (),
        "Accepted minus learned, dead-lettered, duplicate and waiting events: 0, or events were lost.",
        "Alert when not 0.",
    ),
    Metric(
        _LEARNER, "engram_learner_batch_seconds", _HISTOGRAM, "seconds", (),
        "Time to rank, learn and publish one polled batch.", "Latency of a batch.",
        (0.0001, 0.00025, 0.0005, *MILLISECONDS_TO_SECONDS),
    ),
    Metric(
        _LEARNER, "engram_learner_lag_events", _GAUGE, "events", ("partition",),
        "Log offsets (messages; a replay packs several events in one) between the learner's position and the partition's end.",
        "Alert when the learner falls behind.",
    ),
    Metric(
        _LEARNER, "engram_learner_lag_seconds", _GAUGE, "seconds", (),
        "How long ago the log took the newest event that is learned; 0 when nothing is left to learn.",
        "Alert when the learner falls behind.",
    ),
    Metric(
        _LEARNER, "engram_watermark_delay_seconds", _GAUGE, "seconds", (),
        "By how much event time the newest event that was read is ahead of the watermark; 0 where there is no merge.",
        "Which partition holds the merge back.",
    ),
    Metric(
        _LEARNER, "engram_learner_event_time_seconds", _GAUGE, "seconds", (),
        "The event-time clock: the largest accepted event time, seconds since 1970 UTC.",
        "How far a replay is; whether live events are fresh.",
    ),
    Metric(
        _LEARNER, "engram_model_kernel_seconds_total", _COUNTER, "seconds", ("model",),
        "Time spent ranking and learning in a model's kernels.", "Cost of each model.",
    ),
    Metric(
        _LEARNER, "engram_model_state_bytes", _GAUGE, "bytes", ("model",),
        "Memory that a model's state uses.", "Memory growth.",
    ),
    Metric(
        _LEARNER, "engram_known_users", _GAUGE, "users", (),
        "Users that have a row.", "Growth of the id tables.",
    ),
    Metric(
        _LEARNER, "engram_known_items", _GAUGE, "items", (),
        "Items that have a row.", "Growth of the id tables.",
    ),
    Metric(
        _LEARNER, "engram_events_corrected_total", _COUNTER, "events", (),
        "Learned events that took something back: retractions and forgotten users.", "Use of deletion.",
    ),
    Metric(
        _LEARNER, "engram_catalogue_items", _GAUGE, "items", (),
        "Items that the items topic has described, whether or not anybody has had them.",
        "Whether metadata arrives.",
    ),
    Metric(
        _LEARNER, "engram_evicted_users_total", _COUNTER, "users", (),
        "Least recently active users that were dropped to keep max_users.", "Whether max_users is too small.",
    ),
    Metric(
        _LEARNER, "engram_evicted_items_total", _COUNTER, "items", (),
        "Least recently active items that were dropped to keep max_items.", "Whether max_items is too small.",
    ),
    Metric(
        _LEARNER, "engram_forgotten_users_total", _COUNTER, "users", (),
        "Users that were forgotten on request.", "Audit of deletion.",
    ),
    Metric(
        _LEARNER, "engram_drift_detected_total", _COUNTER, "drifts", ("model", "detector"),
        "Changes that a drift detector noticed in how well a model does.",
        "Alert on drift; when to train anew.",
    ),
    Metric(
        _LEARNER, "engram_checkpoint_seconds", _HISTOGRAM, "seconds", (),
        "Time until one checkpoint was durable.", "Load of the disk.",
        (*MILLISECONDS_TO_SECONDS, 10.0, 30.0, 60.0),
    ),
    Metric(
        _LEARNER, "engram_checkpoint_pause_seconds", _HISTOGRAM, "seconds", (),
        "Time that the loop stood still for checkpoints, those in the background too.", "Pause of the loop.",
        MILLISECONDS_TO_SECONDS,
    ),
    Metric(
        _LEARNER, "engram_contribution_bytes_total", _COUNTER, "bytes", ("direction",),
        "What lanes told each other of items: sent, and taken from others.", "Traffic between lanes.",
    ),
    Metric(
        _LEARNER, "engram_contribution_age_seconds", _GAUGE, "seconds", (),
        "Age of what a lane has heard of the one that was silent for longest; the most of all lanes.", "Staleness of items.",
    ),
    Metric(
        _LEARNER, "engram_checkpoint_bytes", _GAUGE, "bytes", (),
        "Size of the last checkpoint's arrays.", "Disk use.",
    ),
    Metric(
        _LEARNER, "engram_checkpoint_timestamp_seconds", _GAUGE, "seconds", (),
        "When the last checkpoint was complete, seconds since 1970 UTC; its age is time() minus this.",
        "Alert when checkpoints stop.",
    ),
    Metric(
        _LEARNER, "engram_synapses", _GAUGE, "synapses", ("model",),
        "Synapses that weigh more than a tenth of a fresh co-activation, at the last checkpoint; estimated from some rows "
        "when there are many.",
        "Growth and forgetting of a Hebbian model.",
    ),
    Metric(
        _LEARNER, "engram_synapse_density_ratio", _GAUGE, "ratio", ("model",),
        "Share of possible synapses that weigh more than a tenth of a fresh co-activation, at the last checkpoint.",
        "Whether a Hebbian model is saturated or forgets all.",
    ),
    Metric(
        _LEARNER, "engram_synapse_weight_quantile", _GAUGE, "weight", ("model", "q"),
        "Weight that a share q of those synapses does not exceed, at the last checkpoint; 1 is a fresh co-activation.",
        "Drift of the weights.",
    ),
    Metric(
        _LEARNER, "engram_batch_steps_total", _COUNTER, "steps", ("step",),
        "What became of versions of batch models: adopted, promoted to champion, rolled back, refused.",
        "Whether retraining reaches the stream.",
    ),
    Metric(
        _LEARNER, "engram_batch_refused_total", _COUNTER, "versions", ("reason",),
        "Versions of batch models that could not be used, by reason.", "Alert on a broken trainer or registry.",
    ),
    Metric(
        _LEARNER, "engram_batch_version", _GAUGE, "version", ("model",),
        "Number of the version that a lane's batch model scores with, the least of all lanes; 0 before the first.",
        "Which version serves; whether it is the newest.",
    ),
    Metric(
        _LEARNER, "engram_batch_swap_seconds", _HISTOGRAM, "seconds", (),
        "Time for which the loop stood still to adopt a version that was loaded.", "Pause of the loop.",
        MILLISECONDS_TO_SECONDS,
    ),
    Metric(
        _LEARNER, "engram_synapse_communities", _GAUGE, "communities", ("model",),
        "Communities (Louvain) of the strongest synapses between the most active neurons, at a checkpoint, once a minute at most.",
        "What the memory holds apart.",
    ),
    Metric(
        _LEARNER, "engram_synapse_modularity_ratio", _GAUGE, "ratio", ("model",),
        "Modularity of these communities: 0, no more than by chance; 1, apart.",
        "How clearly communities are apart.",
    ),
    Metric(
        _LEARNER, "engram_wisard_saturation_ratio", _GAUGE, "ratio", ("model",),
        "Share of the places of users' RAM nodes that are written, at the last checkpoint; estimated from some users when "
        "there are many.",
        "Whether RAM nodes can still tell things apart.",
    ),
    Metric(
        _LEARNER, "engram_rebalances_total", _COUNTER, "rebalances", ("change",),
        "Times that partitions were assigned to this learner, revoked from it, or lost without a word.",
        "Alert when a group finds no rest.",
    ),
    Metric(
        _LEARNER, "engram_partitions_owned", _GAUGE, "partitions", (),
        "Partitions of the ratings topic that this learner learns now.",
        "How the group has shared the topic; whether a partition has no learner.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_events_total", _COUNTER, "events", (),
        "Events evaluated, repeats included.", "Throughput of the evaluator.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_recall_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Recall@k (= HR@k) of test-then-train ranking over a span of events.",
        "Quality of each model; alert on a fall.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_ndcg_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "NDCG@k of test-then-train ranking over a span of events.", "Quality of each model.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_mrr_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "MRR@k of test-then-train ranking over a span of events.", "Quality of each model.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_precision_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Precision@k of test-then-train ranking over a span of events: Recall@k / k.", "Quality of each model.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_hr_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "HR@k, the hit rate, of test-then-train ranking over a span of events: Recall@k.", "Quality of each model.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_rating_rmse", _GAUGE, "rating", ("model", "span"),
        "Root mean squared error of predicted ratings, in units of the data's scale.", "Quality of rating models.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_rating_mae", _GAUGE, "rating", ("model", "span"),
        "Mean absolute error of predicted ratings, in units of the data's scale.", "Quality of rating models.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_like_auc_ratio", _GAUGE, "ratio", ("model", "span"),
        "Area under the ROC curve of predicted likes, over all events pooled.", "Quality of rating models.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_like_accuracy_ratio", _GAUGE, "ratio", ("model", "span"),
        "Share of events whose like or dislike was predicted.", "Quality of rating models.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_slice_recall_ratio", _GAUGE, "ratio", ("model", "slice"),
        "Recall@10 over all events of users of an age, or of items of a popularity band.",
        "Whom and what a model serves badly.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_cold_recall_ratio", _GAUGE, "ratio", ("model", "span"),
        "Recall@10 of items never seen before among all items of the catalogue, where a model ranks them.",
        "Quality for new items.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_coverage_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Share of the known items that is in a sampled top list.", "Whether a model uses the catalogue.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_gini_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Gini index of how often known items are in sampled top lists; 1 is most uneven.",
        "Whether a few items take all.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_novelty_bits", _GAUGE, "bits", _FIGURE_LABELS,
        "Mean self-information of the items of sampled top lists.", "Whether a model recommends the popular only.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_diversity_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Mean dissimilarity of genres within sampled top lists.", "Whether lists are all of a kind.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_serendipity_ratio", _GAUGE, "ratio", _FIGURE_LABELS,
        "Share of ranked events that a model has among its k best and popularity has not.",
        "What a model adds to popularity.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_difference_ratio", _GAUGE, "ratio", _PAIR_LABELS,
        "Recall@10 of a model less that of a baseline, over all events.", "Which model is better, and by how much.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_difference_low_ratio", _GAUGE, "ratio", _PAIR_LABELS,
        "Lower end of the 95 % interval of the difference, robust to dependence within sessions.",
        "How sure the difference is.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_difference_high_ratio", _GAUGE, "ratio", _PAIR_LABELS,
        "Upper end of the 95 % interval of the difference, robust to dependence within sessions.",
        "How sure the difference is.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_difference_p_ratio", _GAUGE, "ratio", _PAIR_LABELS,
        "Two-sided p-value of the difference, of this moment alone.", "Beside the interval.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_difference_decided", _GAUGE, "sign", _PAIR_LABELS,
        "1 where the model was found better at a look of the sequential test, -1 the baseline, 0 for neither yet.",
        "Which comparisons are settled.",
    ),
    Metric(
        _EVALUATOR, "engram_prequential_lag_seconds", _GAUGE, "seconds", (),
        "Age of the newest predictions evaluated, when they were; 0 when there are no newer ones.",
        "Whether live figures are current.",
    ),
    *TRAINER_METRICS,
    *API_METRICS,
)  # fmt: skip


# Series that a process may expose at most, with 8 models and 16 partitions.
SERIES_BUDGET: Final = {
    Process.LEARNER: 300,
    Process.EVALUATOR: 2_500,
    Process.TRAINER: 100,
    Process.API: 500,
}

# What the client library says of a process, by itself (Linux only).
PROCESS_METRICS: Final = {
    "process_cpu_seconds_total": "User and system time of the process.",
    "process_resident_memory_bytes": "Memory of the process that is in RAM.",
    "process_virtual_memory_bytes": "Memory that the process has mapped.",
    "process_start_time_seconds": "When the process started, seconds since 1970 UTC.",
    "process_open_fds": "Open files.",
    "process_max_fds": "How many files may be open.",
}


def metrics_of(process: Process) -> tuple[Metric, ...]:
    """Return the metrics that `process` exposes, in the table's order."""
    return tuple(metric for metric in METRICS if metric.process is process)


def markdown() -> str:
    """Render the table as the Markdown page that documents it."""
    lines = [
        "# Metrics",
        "",
        "Written by `python -m consumers.metrics_table > docs/metrics.md` from the table in the code.",
        "",
        "Label values: `model` is a configured model; `reason` a dead-letter reason; `partition` a number; `k` is 5,",
        "10 or 20; `span` is `all`, `last_70`, `window_<events>`, `window_<duration>` (of event time) or",
        "`fading_<factor>`; `baseline` a configured model; `detector` is `adwin` or `page_hinkley`; `slice` one of `user_1`, `user_2_5`, `user_6_20`, `user_21`,",
        "`item_1_9`, `item_10_99`, `item_100_999`, `item_1000`. What each measure is: [measures.md](measures.md).",
        "`q` is `0.5`, `0.9` or `0.99`; `route` one of the API's, `status` `2xx` to `5xx`. Communities are found among few neurons here; `engram graph` draws more of them",
        "([graphs.md](graphs.md)). `step` is `adopted`, `promoted`, `rolled_back` or `refused`; the reasons of refusals are",
        "`torn`, `corrupt`, `newer`, `mismatch` and `unusable` ([batch_handover.md](batch_handover.md)).",
        "`change` is `assigned`, `revoked` or `lost`; `gpu` a number: there are no series of GPUs where there is no GPU.",
        "",
        "A process also says, by the client library: "
        + ", ".join(f"`{name}`" for name in PROCESS_METRICS)
        + ". Those of an API have the label `process`: `api`, `learner` or `evaluator`.",
    ]
    for process in Process:
        lines += [
            "",
            f"## {process.value[0].upper()}{process.value[1:]}",
            "",
            "| name | type | unit | labels | meaning | read for |",
            "|---|---|---|---|---|---|",
        ]
        for metric in metrics_of(process):
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(
                f"| `{metric.name}` | {metric.type} | {metric.unit} | {labels} | {metric.help} | {metric.reader} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
