"""Item factors against the matrix that they stand for, made in full."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest

from batch_models.item_factors import ItemFactorsConfig, train
from eventlog.artefact import check, digest_of, encode_weights, file_of
from eventlog.cut import Cut
from tests.online_models.event_streams import random_stream

pytestmark = pytest.mark.oracle

STREAM = random_stream(5, 80 if numba.config.DISABLE_JIT else 250, users=12, items=20)
CONFIG = ItemFactorsConfig(
    factors=20, oversampling=8, iterations=6, step_decay=0.5, reverse=0.25, gap_scale_s=100.0, half_life_events=50.0
)  # fmt: skip


def cut_of(events: int) -> Cut:
    part = STREAM[:events]
    users, items = (max(column) + 1 for column in ([e.user for e in part], [e.item for e in part]))
    return Cut(
        np.array([event.user for event in part], np.int32),
        np.array([event.item for event in part], np.int32),
        np.full(events, 4.0, np.float32),
        np.array([event.time_ms for event in part], np.int64),
        np.array([f"u{row}".encode() for row in range(users)]),
        np.array([f"i{row}".encode() for row in range(items)]),
        events,
        max(event.time_ms for event in part),
        (1.0, 5.0),
    )


def matrix_of(cut: Cut, config: ItemFactorsConfig) -> np.ndarray:  # type: ignore[type-arg]
    """C by its definition, normalised."""
    items = len(cut.item_ids)
    follows, activity = np.zeros((items, items)), np.zeros(items)
    histories: dict[int, list[tuple[int, int]]] = {}
    for at, (user, item, time_ms) in enumerate(zip(cut.user, cut.item, cut.time_ms, strict=True)):
        had = histories.setdefault(int(user), [])
        if any(item == other for other, _ in had):
            continue
        recency = 2.0 ** (-(len(cut.user) - 1 - at) / config.half_life_events)
        activity[item] += recency
        gain, after_ms = 1.0, int(time_ms)
        for k, (other, then_ms) in enumerate(reversed(had)):
            gain *= (1 + max(after_ms - then_ms, 0) / 1000 / config.gap_scale_s) ** -config.gap_exponent
            gain *= config.step_decay if k else 1.0
            follows[other, item] += recency * gain
            after_ms = then_ms
        had.append((int(item), int(time_ms)))
    total = activity.sum()
    both = follows + config.reverse * follows.T
    both *= activity[:, None] ** -config.source_power * activity[None, :] ** -config.target_power
    return both * total ** (config.source_power + config.target_power - 1)


def test_all_factors_together_are_the_matrix() -> None:
    cut = cut_of(len(STREAM))
    artefact = train(cut, 3, CONFIG)
    found = artefact.arrays["item_in"].astype(float) @ artefact.arrays["item_out"].astype(float).T
    np.testing.assert_allclose(found, matrix_of(cut, CONFIG), rtol=1e-4, atol=1e-6)
    assert artefact.manifest.item_ids == [f"i{row}" for row in range(len(cut.item_ids))]


def test_fewer_factors_are_the_best_of_that_rank() -> None:
    cut, config = cut_of(len(STREAM)), replace(CONFIG, factors=5)
    artefact = train(cut, 3, config)
    found = artefact.arrays["item_in"].astype(float) @ artefact.arrays["item_out"].astype(float).T
    wanted = matrix_of(cut, config)
    left, singular, right = np.linalg.svd(wanted)
    best = (left[:, :5] * singular[:5]) @ right[:5]
    # Eckart & Young: nothing of that rank is nearer.
    assert np.linalg.norm(found - wanted) <= np.linalg.norm(best - wanted) * (1 + 1e-4)


def test_the_same_cut_gives_the_same_bits_and_a_later_event_changes_nothing() -> None:
    first, again = train(cut_of(60), 1, CONFIG), train(cut_of(60), 1, CONFIG)
    check(first)
    files = {"model.safetensors": file_of(encode_weights(first.arrays))}
    manifests = [
        type(one.manifest)(**{**{name: getattr(one.manifest, name) for name in one.manifest.__struct_fields__}, "files": files})
        for one in (first, again)
    ]  # fmt: skip
    assert encode_weights(first.arrays) == encode_weights(again.arrays)
    assert digest_of(manifests[0]) == digest_of(manifests[1])
    assert first.manifest.events == 60
    # The same events within a longer stream are the same cut.
    longer = cut_of(len(STREAM))
    part = longer._replace(
        **{name: getattr(longer, name)[:60] for name in ("user", "item", "rating", "time_ms")}, events=60
    )
    assert part.digest() == cut_of(60).digest()
    assert encode_weights(train(part, 1, CONFIG).arrays) == encode_weights(first.arrays)


def test_few_items_give_few_factors() -> None:
    artefact = train(cut_of(3), 0)
    check(artefact)
    assert artefact.factors <= 3
