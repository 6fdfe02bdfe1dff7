"""From settings to the parts of a run; every command and the tests build them here."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector

from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.metrics import LearnerMetrics
from consumers.metrics_server import Health, MetricsServer
from consumers.result import RunInfo
from consumers.scrape_targets import announced
from engram import model_parameters
from engram.settings import Settings, kafka_security
from engram.source import Source, rating_limits, rating_scale
from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.topics import Topics
from online_models.batch import Batch, BatchConfig
from online_models.blend_batch import BlendBatch
from online_models.model import ModelConfig
from online_models.registry import DEFAULT_MODELS
from producers.replay import Pace, Replay
from producers.stream import EventStream

if TYPE_CHECKING:
    from eventlog.kafka_membership import KafkaMembership

_ANSWERING_FLUSH_EVERY_S = 1.0
# Settings that a report states beside those with a place of their own in it.
_REPORTED = (
    "log",
    "partitions",
    "batch_size",
    "max_users",
    "max_items",
    "top_every",
    "drift",
    "pack",
    "limit",
    "num_users",
    "reviews_per_user",
    "top_percentile",
    "from_time",
    "to_time",
    "speed",
    "rate",
    "checkpoint_every_events",
    "checkpoint_every_s",
    "batch_model",
    "retrain_every",
)


def open_log(settings: Settings) -> Log:
    """Open the log that the settings name.

    Raises `SettingsError` when Kafka's address is missing, `BrokerError` when no broker answers there, `LogError`
    when the embedded log's file is no log.
    """
    if settings.log == "embedded":
        from eventlog.sqlite_log import SqliteLog

        path = Path(settings.log_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteLog(path)
    if settings.kafka is None:
        raise SettingsError(
            "log is 'kafka' and there is no address, expected --bootstrap HOST:PORT or ENGRAM_KAFKA; "
            "`engram kafka up` starts a broker on this machine"
        )
    from eventlog.kafka_log import KafkaLog

    return KafkaLog(settings.kafka, **kafka_security(settings))


def topics_of(settings: Settings) -> Topics:
    """The topics of a learner, or of an evaluator of what it writes.

    Raises `SettingsError` where batch models would be adopted twice: the topic `models` is of one learner.
    """
    topics = Topics.with_prefix(settings.topic_prefix)
    if settings.output_prefix is None:
        return topics
    if Batch.name in settings.models:
        raise SettingsError(
            f"output_prefix is {settings.output_prefix!r} and {Batch.name} is among the models, expected one of them"
        )
    return topics.writing_to(settings.output_prefix)


def create_topics(log: Log, topics: Topics, partitions: int) -> None:
    """Create what is missing; a lane's predictions are in the partition of the same number.

    Raises `LogError` when the ratings topic exists with another number of partitions.
    """
    log.create_topic(topics.ratings, partitions)
    log.create_topic(topics.predictions, partitions)
    log.create_topic(topics.dead_letters, 1)
    log.create_topic(topics.models, 1)
    log.create_topic(topics.items, 1, compacted=True)
    log.create_topic(topics.users, 1, compacted=True)


def lane_config(settings: Settings) -> LaneConfig:
    """What makes the models' state.

    Raises `SettingsError` for versions that no model adopts, or that none would get, and where there is nobody to share with.
    """
    if settings.share and settings.merge:
        raise SettingsError(
            "share is true and merge too, expected --merge false: what is merged is one lane already"
        )
    models = settings.models or DEFAULT_MODELS
    if BlendBatch.name in models and Batch.name not in models:
        raise SettingsError(
            f"models are {', '.join(models)}: {BlendBatch.name} has the versions that {Batch.name} has, "
            f"expected --model {Batch.name} too"
        )
    configs: dict[str, ModelConfig] = dict(model_parameters.configs(settings.params))
    if settings.retrain_every:
        if Batch.name not in models:
            raise SettingsError(
                f"retrain_every is {settings.retrain_every}, but {Batch.name} is not among the models, "
                f"{', '.join(models)}: expected --model {Batch.name} too"
            )
        configs[Batch.name] = BatchConfig(adopt_every=settings.retrain_every)
    return LaneConfig(
        models=models,
        configs=configs,
        clock=settings.clock,
        max_users=settings.max_users,
        max_items=settings.max_items,
        top_every=settings.top_every,
        drift=settings.drift,
        seed=settings.seed,
        share=settings.share,
        ties_against=settings.ties == "against",
        scale=rating_scale(settings),
    )


METRICS = ("metrics_port", "metrics_address", "metrics_targets", "metrics_linger_s")


def serve_metrics(
    stack: contextlib.ExitStack,
    registry: CollectorRegistry,
    settings: Settings,
    service: str,
    *,
    offset: int = 0,
    health: Health | None = None,
) -> MetricsServer | None:
    """Serve metrics and health until `stack` ends, where a port is set; return the server.

    offset: added to the port, for a second process of one command (0, any free port, stays 0).
    """
    port = settings.metrics_port
    if port is None:
        return None
    ProcessCollector(registry=registry)
    server = MetricsServer(registry, port + offset if port else 0, settings.metrics_address, health)
    stack.enter_context(server)
    announce_target(stack, settings, service, settings.metrics_address, server.port)
    return server


def announce_target(
    stack: contextlib.ExitStack, settings: Settings, service: str, address: str, port: int
) -> None:
    """Say to Prometheus, until `stack` ends and where the settings name a folder for it, where a service is scraped."""
    if settings.metrics_targets is not None:
        host = "127.0.0.1" if address == "0.0.0.0" else address
        stack.enter_context(announced(Path(settings.metrics_targets), service, f"{host}:{port}"))


def linger(server: MetricsServer | None, settings: Settings) -> None:
    """Wait for a last scrape, where the settings say so."""
    if server is not None and settings.metrics_linger_s:
        server.linger(settings.metrics_linger_s)


def build_replay(
    settings: Settings,
    log: Log,
    topics: Topics,
    stream: EventStream,
    own_partitions: Collection[int] | None = None,
) -> Replay:
    """Make the replay of `stream`, from the log's tail on; own_partitions: as `Replay` takes them."""
    pace = Pace(pack=settings.pack, rate=settings.rate, speed=settings.speed)
    return Replay(log, topics, stream, pace, own_partitions=own_partitions)


def build_learner(
    settings: Settings,
    log: Log,
    topics: Topics,
    registry: CollectorRegistry | None = None,
    *,
    until_end: bool,
    only: Collection[int] | None = None,
    answers: bool = False,
) -> Learner:
    """Make the learner, from its newest checkpoint where there is one; in a group it has no partition yet.

    only: the partitions that it learns, all by default. answers: whether questions wait while it writes: then each
    checkpoint is written in the background, and predictions are made durable once a second.
    """
    config = LearnerConfig(
        lane=lane_config(settings),
        merge=settings.merge,
        group=settings.group,
        batch_size=settings.batch_size,
        checkpoint_every_events=settings.checkpoint_every_events,
        checkpoint_every_s=settings.checkpoint_every_s,
        share_every_events=settings.share_every_events,
        stop_at_end=until_end,
        limits=rating_limits(settings),
        batch_model=settings.batch_model,
        registry=settings.registry,
    )
    if answers:
        config = replace(config, background_bytes=0, flush_every_s=_ANSWERING_FLUSH_EVERY_S)
    metrics = LearnerMetrics(registry) if registry is not None else None
    partitions = () if settings.group else only
    return Learner(log, topics, config, Path(settings.checkpoint_dir), metrics, partitions)


def join_group(settings: Settings, topics: Topics) -> KafkaMembership:
    """Join the learners of a deployment. Raises `SettingsError` where there can be no group, `BrokerError` without broker."""
    if settings.log != "kafka" or settings.kafka is None or settings.merge:
        raise SettingsError(
            f"group is true with log {settings.log!r} and merge {str(settings.merge).lower()}, expected --log kafka "
            "--bootstrap HOST:PORT --merge false"
        )
    from eventlog.kafka_membership import KafkaMembership

    group = f"{topics.ratings}.learners"
    return KafkaMembership(settings.kafka, kafka_security(settings), topics.ratings, group)


def run_info(settings: Settings, source: Source, data_digest: str, seconds: float | None) -> RunInfo:
    """What result.json says of a run beside its figures. seconds: None where nothing was timed."""
    return RunInfo(
        dataset=source.dataset,
        data_source=source.description,
        data_digest=data_digest,
        min_rating=settings.min_rating,
        tie_rule=settings.tie_order,
        tie_ranking=settings.ties,
        seed=settings.seed,
        seconds=seconds,
        settings={name: getattr(settings, name) for name in _REPORTED}
        | {"rating_scale": list(rating_scale(settings))},
    )
