"""The metrics of the trainer, its GPUs, and the API: part of the table of all (`consumers.metrics_table`)."""

from __future__ import annotations

from typing import Final

from consumers.metric import MILLISECONDS_TO_SECONDS, Metric, MetricType, Process

_COUNTER, _GAUGE, _HISTOGRAM = MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM
_TRAINER, _API = Process.TRAINER, Process.API
_SECONDS_TO_HOURS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

TRAINER_METRICS: Final = (
    Metric(
        _TRAINER, "engram_trainer_events_total", _COUNTER, "events", (),
        "Events of the log that the trainer has read.", "Whether the trainer follows the log.",
    ),
    Metric(
        _TRAINER, "engram_trainings_total", _COUNTER, "trainings", (),
        "Versions trained, stored and announced.", "Whether retraining happens.",
    ),
    Metric(
        _TRAINER, "engram_training_seconds", _HISTOGRAM, "seconds", (),
        "Time to train, store and announce a version.", "Cost of retraining.", _SECONDS_TO_HOURS,
    ),
    Metric(
        _TRAINER, "engram_training_timestamp_seconds", _GAUGE, "seconds", (),
        "When the last version was announced, seconds since 1970 UTC.", "Age of the newest version.",
    ),
    Metric(
        _TRAINER, "engram_trained_version", _GAUGE, "version", ("model",),
        "Number of the newest version.", "Beside the versions in use: whether learners follow.",
    ),
    Metric(
        _TRAINER, "engram_gpu_utilization_ratio", _GAUGE, "ratio", ("gpu",),
        "Share of the last moments in which the GPU computed.", "Whether training uses the GPU.",
    ),
    Metric(
        _TRAINER, "engram_gpu_memory_bytes", _GAUGE, "bytes", ("gpu",),
        "Memory of the GPU that is in use, by all processes.", "Whether a larger batch or model would fit.",
    ),
    Metric(
        _TRAINER, "engram_gpu_memory_size_bytes", _GAUGE, "bytes", ("gpu",),
        "Memory that the GPU has.", "Beside the memory in use.",
    ),
    Metric(
        _TRAINER, "engram_gpu_power_watts", _GAUGE, "watts", ("gpu",),
        "Power that the GPU draws.", "Cost of retraining.",
    ),
    Metric(
        _TRAINER, "engram_gpu_temperature_celsius", _GAUGE, "celsius", ("gpu",),
        "Temperature of the GPU.", "Whether it is throttled.",
    ),
)  # fmt: skip

API_METRICS: Final = (
    Metric(
        _API, "engram_http_requests_total", _COUNTER, "requests", ("method", "route", "status"),
        "Requests answered, by route and class of status.", "Load and errors of the API.",
    ),
    Metric(
        _API, "engram_http_request_seconds", _HISTOGRAM, "seconds", ("route",),
        "Time to answer a request.", "Latency of the API.",
        (0.0005, *MILLISECONDS_TO_SECONDS),
    ),
)  # fmt: skip
