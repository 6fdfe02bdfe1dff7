"""The hybrid for the stream: the kernel says what torch says, from the artefact alone; tuning sees the newest events only."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models import hybrid_artefact  # noqa: E402
from batch_models.from_cut import pairs_of  # noqa: E402
from batch_models.hybrid import Hybrid, HybridConfig, HybridScorer  # noqa: E402
from batch_models.hybrid_artefact import HybridArtefactConfig, network_of, train, tune  # noqa: E402
from batch_models.interactions import Interactions  # noqa: E402
from batch_models.sequences import GAP_ENDS_S, last_windows  # noqa: E402
from consumers.model_versions import factors_of  # noqa: E402
from eventlog.artefact import Artefact, Attention, check, digest_of, encode_weights, file_of  # noqa: E402
from eventlog.cut import Cut  # noqa: E402
from eventlog.errors import ArtefactMismatchError  # noqa: E402
from online_models.batch import Batch, Version  # noqa: E402
from online_models.catalogue import CatalogueStore  # noqa: E402
from online_models.interactions import Histories, Moment  # noqa: E402

CONFIG = HybridArtefactConfig(
    HybridConfig(factors=8, length=6, blocks=2, heads=2, dropout=0.0),
    epochs=3,
    batch_size=8,
    negatives=0,
    start_epochs=0,
)
USERS, ITEMS, EACH = 30, 12, 20


def cut(events: int = USERS * EACH) -> Cut:
    """Users take turns, and each goes round the items from a start of its own; gaps are of all classes. i12 has no event."""
    turn, user = np.divmod(np.arange(events), USERS)
    item = (turn % ITEMS + user) % ITEMS
    time_ms = np.cumsum(np.random.default_rng(1).choice([0, 40, 900, 30_000, 9 * 10**6], events))
    return Cut(
        user.astype(np.int32),
        item.astype(np.int32),
        np.full(events, np.nan, np.float32),
        time_ms.astype(np.int64),
        np.array([b"u%d" % row for row in range(USERS)]),
        np.array([b"i%d" % row for row in range(ITEMS + 1)]),
        events,
        int(time_ms.max()),
        (1.0, 5.0),
    )


def digest(artefact: Artefact) -> str:
    manifest = artefact.manifest
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    files = {"model.safetensors": file_of(encode_weights(artefact.arrays))}
    return digest_of(type(manifest)(**(fields | {"files": files})))


def histories_of(data: Interactions) -> Histories:
    order = np.argsort(data.user, kind="stable")
    length = np.bincount(data.user, minlength=data.users).astype(np.int32)
    return Histories(
        np.cumsum(length, dtype=np.int64) - length,
        length,
        data.item[order].astype(np.int32),
        data.time_ms[order],
        data.rating[order],
        CatalogueStore().view,
    )


def scored(artefact: Artefact, histories: Histories, users: int) -> np.ndarray:
    """Scores of all users by the online model, with the artefact adopted."""
    items = len(artefact.manifest.item_ids)
    model = Batch()
    model.reserve(items)
    model.adopt(factors_of(artefact), np.arange(items, dtype=np.int32), Version(1, "0" * 64, 0))
    restored = Batch()
    restored.restore({name: array.copy() for name, array in model.arrays().items()})
    moment = Moment(0, int(histories.times_ms.max()), items)
    found = np.array([model.scores(user, histories, moment) for user in range(users)])
    np.testing.assert_array_equal(found, [restored.scores(user, histories, moment) for user in range(users)])
    return found


@pytest.mark.parametrize(("blocks", "heads"), [(1, 1), (2, 2), (3, 4)])
def test_the_kernel_says_what_torch_says(blocks: int, heads: int) -> None:
    """Of random parameters, so that none is near 0, and histories of 0 to 20 items."""
    whole = pairs_of(cut())[0]
    random = np.random.default_rng(3)
    keep = random.random(whole.size) < np.linspace(0.0, 1.0, USERS)[whole.user]
    data = whole.take(keep)
    config = HybridConfig(factors=8, length=6, blocks=blocks, heads=heads)
    model = Hybrid(config, np.zeros((ITEMS, 0), np.float32), np.ones(ITEMS, np.float32), 0).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.4
            )
        expected = HybridScorer(model, last_windows(data, config.length), torch.device("cpu")).all_items(
            torch.arange(USERS)
        )
        vectors = torch.cat((model.item, model.bias[:, None]), 1).numpy()
    given = train(cut(), 0, CONFIG)
    manifest = given.manifest
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    encoder = Attention(length=6, width=8, heads=heads, blocks=blocks, parts=1, gaps=len(GAP_ENDS_S))
    artefact = Artefact(
        type(manifest)(**(fields | {"encoder": encoder})),
        {
            "item_in": vectors,
            "item_out": vectors,
            "bias": np.zeros(ITEMS, np.float32),
            "network": network_of(model),
        },
    )
    check(artefact)
    found = scored(artefact, histories_of(data), USERS)
    had = np.bincount(data.user, minlength=USERS) > 0
    assert 5 < had.sum() < USERS
    np.testing.assert_allclose(found[had], expected.numpy()[had], rtol=2e-4, atol=2e-4)
    # Who has had nothing is scored alike for all items: nothing is known.
    assert (found[~had] == 0).all()


def test_an_order_is_learned_and_the_same_cut_gives_the_same_bits() -> None:
    config = HybridArtefactConfig(
        CONFIG.model, epochs=25, rate=0.02, batch_size=8, negatives=0, start_epochs=1
    )
    given = cut(USERS * 10)
    one, same, other = (train(given, seed, config) for seed in (0, 0, 1))
    check(one)
    assert digest(one) == digest(same) != digest(other)
    assert one.manifest.item_ids == [f"i{row}" for row in range(ITEMS)]
    data = pairs_of(given)[0]
    scores = scored(one, histories_of(data), USERS)
    assert (scores.argmax(1) == (10 + np.arange(USERS)) % ITEMS).mean() > 0.8


def test_tuning_starts_from_the_version_and_learns_the_newest_events_alone() -> None:
    early, late = cut(USERS * 8), cut(USERS * 10)
    before = train(early, 0, CONFIG)
    # At a rate of 0 nothing changes: what is put in is what was taken out.
    still = HybridArtefactConfig(CONFIG.model, tune_rate=0.0, negatives=0, start_epochs=0)
    assert digest(tune(late, 0, before, still)) == digest(before)
    tuned = tune(late, 0, before, CONFIG)
    check(tuned)
    assert digest(tuned) != digest(before)
    assert tuned.manifest.parameters["tuned_from_events"] == USERS * 8
    # Old events may say something else: it is the new ones that are fitted to. Their targets, with what was before.
    data = pairs_of(late)[0]
    windows = hybrid_artefact._only_new(
        hybrid_artefact.training_windows(data, 6, 6), data, early.clock_time_ms
    )
    new = late.time_ms > early.clock_time_ms
    assert sorted(windows.target[windows.target >= 0].tolist()) == sorted(late.item[new].tolist())
    with pytest.raises(ArtefactMismatchError, match="is of 300 events, expected 240 at most"):
        tune(early, 0, tune(late, 0, before, CONFIG), CONFIG)
    other = HybridArtefactConfig(HybridConfig(factors=8, length=5, blocks=2, heads=2), start_epochs=0)
    with pytest.raises(ArtefactMismatchError, match="which is what is trained here"):
        tune(late, 0, before, other)


def test_what_does_not_fit_is_refused() -> None:
    artefact = train(cut(USERS * 4), 0, CONFIG)
    check(artefact)
    arrays = artefact.arrays
    with pytest.raises(ArtefactMismatchError, match="network is float32"):
        check(artefact._replace(arrays=arrays | {"network": arrays["network"][:-1]}))
    narrow = {name: arrays[name][:, :5].copy() for name in ("item_in", "item_out")}
    with pytest.raises(ArtefactMismatchError, match=r"expected 1 x 8 \+ 1"):
        check(artefact._replace(arrays=arrays | narrow))
