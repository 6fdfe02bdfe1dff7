"""What a metric is, in the table of all (`consumers.metrics_table`)."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

# Upper bounds of a histogram's buckets, seconds.
MILLISECONDS_TO_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class MetricType(enum.StrEnum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Process(enum.StrEnum):
    """Which process exposes a metric."""

    LEARNER = "learner"
    EVALUATOR = "evaluator"
    TRAINER = "trainer"
    API = "API"


class Metric(NamedTuple):
    """One metric.

    unit: of the value. labels: label names, in order. help: one sentence, as exposed. reader: what it is read for.
    buckets: upper bounds, for histograms only.
    """

    process: Process
    name: str
    type: MetricType
    unit: str
    labels: tuple[str, ...]
    help: str
    reader: str
    buckets: tuple[float, ...] = ()
