"""Artefacts: what a batch model leaves behind, and a stream scores with. No torch, no pickle.

::

    model.safetensors    named arrays, see the kind
    manifest.json        `Manifest`, with the sha256 of the other file; written last

The one kind so far is `factors`. It scores any pair of a user and an item from the items of the user's live history,
y_1 (newest), y_2, ..., and nothing else of the user:

    score(u, c) = x_u . item_out[c] + bias[c]

    encoder "trace":  x_u = sum_k g_k item_in[y_k]  (/ sum_k g_k with `normalize`)    over the last `length` items
                      g_k = step_decay^(k-1) (1 + gap_k / gap_scale_s)^-gap_exponent,  gap_k = now - time of y_k
    encoder "ridge":  x_u = (sum_k v_k v_k' + unobserved_weight V'V + regularization (n + unobserved_weight |V|)^exponent I)^-1
                      sum_k v_k,  with v_k = item_in[y_k], V = item_in, n = number of items: fold-in of implicit
                      alternating least squares (Hu, Koren & Volinsky 2008; weights and scaling as in Rendle et al.
                      2022, "Revisiting the Performance of iALS on Item Recommendation Benchmarks")
    encoder "attention": causal self-attention over the newest `length` items (Kang & McAuley 2018, "Self-attentive sequential
                      recommendation", ICDM), with w = `width`, and item vectors of `parts` parts of w numbers and one more:
                      z_k = sqrt(w) (sum of parts of item_in[y_k] + gap vector of the class of the time since the event before)
                      z  <- z + attention(norm z), then z <- z + relu(norm z F + f) G + g,     `blocks` times
                      x_u = (share_1 norm z_1, ..., share_parts norm z_1, share_popularity),   shares by age, the class of
                      how many events u has had: 0, 1, 2 to 3, 4 to 7, ... 128 and more

Arrays: item_in float32[items, d], item_out float32[items, d], bias float32[items]; row i is item_ids[i] of the manifest. Of
attention d = parts w + 1, and network float32[p], one after the other:

    ends of gap classes, s [gaps]; gap vectors [gaps + 1, w]
    each block: norm [2, w] (scales, shifts); queries, keys, values, join, each [w + 1, w]; norm [2, w]; F, G, each [w + 1, w];
                what a step of distance adds to logits [heads, length]
    norm [2, w]; shares [9 ages, parts + 1]

A layer is [inputs, outputs], with its shifts as one more row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from eventlog.errors import ArtefactCorruptError, ArtefactMismatchError, ArtefactNewerError
from eventlog.hostile import decode_errors

SCHEMA: Final = 2  # of what this program reads; a manifest has the least that its encoder needs
ATTENTION_SCHEMA: Final = 2
FACTORS: Final = "factors"
WEIGHTS: Final = "model.safetensors"
MANIFEST: Final = "manifest.json"
MOST_FACTORS: Final = 1024
AGES: Final = 9

Arrays = dict[str, NDArray[Any]]


class Trace(msgspec.Struct, frozen=True, kw_only=True, tag="trace", forbid_unknown_fields=True):
    """Encoder "trace" of the module. step_decay in (0, 1], gap_scale_s in seconds of event time."""

    length: int = 50
    step_decay: float = 0.9
    gap_scale_s: float = 120.0
    gap_exponent: float = 0.0
    normalize: bool = True


class Ridge(msgspec.Struct, frozen=True, kw_only=True, tag="ridge", forbid_unknown_fields=True):
    """Encoder "ridge" of the module. length: the newest items that are folded in, 0 for all."""

    unobserved_weight: float
    regularization: float
    exponent: float = 1.0
    length: int = 0


class Attention(msgspec.Struct, frozen=True, kw_only=True, tag="attention", forbid_unknown_fields=True):
    """Encoder "attention" of the module; gaps: how many ends of classes of time gaps there are."""

    length: int
    width: int
    heads: int
    blocks: int
    parts: int
    gaps: int

    @property
    def network_size(self) -> int:
        """How many numbers the array `network` has."""
        w = self.width
        block = 4 * w + 6 * (w + 1) * w + self.heads * self.length
        return self.gaps + (self.gaps + 1) * w + self.blocks * block + 2 * w + AGES * (self.parts + 1)


Encoder = Trace | Ridge | Attention


class File(msgspec.Struct, frozen=True):
    """A file of an artefact."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artefact says of itself.

    name: of the trainer. version: its number in the registry, 0 before it has one. kind: what its arrays are, see the
    module. parameters: of the training. events: position of the cut that it was trained on, in events of the stream;
    clock_time_ms: the cut's largest event time; data_digest: sha256 of its events. scale: least and greatest rating.
    metrics: what the trainer measured. created: ISO 8601, UTC. files: {name: size and sha256}.
    """

    name: str
    kind: str
    encoder: Encoder
    item_ids: list[str]
    parameters: dict[str, Any]
    seed: int
    events: int
    clock_time_ms: int
    data_digest: str
    scale: tuple[float, float]
    created: str
    metrics: dict[str, float] = {}
    files: dict[str, File] = {}
    version: int = 0
    schema: int = 1


class _Version(msgspec.Struct):
    schema: int


class Artefact(NamedTuple):
    """A manifest and the arrays of its kind."""

    manifest: Manifest
    arrays: Arrays

    @property
    def factors(self) -> int:
        """The length d of its vectors."""
        return int(self.arrays["item_in"].shape[1])


def digest_of(manifest: Manifest) -> str:
    """Sha256 of what scores depend on: kind, encoder, item ids, arrays; not of name, version, metrics or dates."""
    content = {
        "kind": manifest.kind,
        "encoder": manifest.encoder,
        "item_ids": manifest.item_ids,
        "weights": manifest.files[WEIGHTS].sha256,
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def encode_weights(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a safetensors file."""
    return bytes(
        safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    )


def file_of(content: bytes) -> File:
    """Describe a file's content."""
    return File(hashlib.sha256(content).hexdigest(), len(content))


def decode_manifest(content: bytes, where: str) -> Manifest:
    """Read a manifest. where: for messages.

    Raises `ArtefactNewerError`, and `ArtefactCorruptError` for what is no manifest.
    """
    try:
        with decode_errors():
            if (schema := msgspec.json.decode(content, type=_Version).schema) > SCHEMA:
                raise ArtefactNewerError(
                    f"{where} has schema {schema}, this program reads up to {SCHEMA}: upgrade Engram"
                )
            return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ArtefactCorruptError(f"{where} is no manifest: {error}") from None


def decode_weights(content: bytes, expected: File, where: str) -> Arrays:
    """Read the arrays of a file that must be the one described. Raises `ArtefactCorruptError`."""
    if (found := file_of(content)) != expected:
        raise ArtefactCorruptError(
            f"{where} has {found.bytes} bytes with sha256 {found.sha256[:12]}..., expected {expected.bytes} bytes with "
            f"{expected.sha256[:12]}..."
        )
    try:
        return dict(safetensors.numpy.load(content))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtefactCorruptError(f"{where} is no safetensors file: {error}") from None


def check(artefact: Artefact) -> None:
    """Raise `ArtefactMismatchError` for an artefact that is not as its kind and encoder demand."""
    manifest, arrays = artefact
    if manifest.kind != FACTORS:
        raise ArtefactMismatchError(f"kind is {manifest.kind!r}, expected {FACTORS!r}")
    _check_encoder(manifest.encoder)
    ids = [item.encode() for item in manifest.item_ids]
    n = len(ids)
    if len(set(ids)) != n or any(not item or b"\0" in item for item in ids):
        raise ArtefactMismatchError(
            "item_ids are not distinct, or some are empty, expected an id for each row"
        )
    vectors = arrays.get("item_in")
    shape: tuple[int, ...] = () if vectors is None else vectors.shape
    d = shape[1] if len(shape) == 2 else 0
    if not 1 <= d <= MOST_FACTORS:
        raise ArtefactMismatchError(f"item_in has shape {shape}, expected ({n}, 1 to {MOST_FACTORS})")
    shapes: dict[str, tuple[int, ...]] = {"item_in": (n, d), "item_out": (n, d), "bias": (n,)}
    if isinstance(encoder := manifest.encoder, Attention):
        if d != encoder.parts * encoder.width + 1:
            raise ArtefactMismatchError(
                f"item_in has {d} factors, expected {encoder.parts} x {encoder.width} + 1, as encoder's parts and width say"
            )
        shapes["network"] = (encoder.network_size,)
    for name, wanted in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != wanted or array.dtype != np.float32:
            found = "absent" if array is None else f"{array.dtype}{list(array.shape)}"
            raise ArtefactMismatchError(f"{name} is {found}, expected float32{list(wanted)}")
        if not np.isfinite(array).all():
            raise ArtefactMismatchError(f"{name} holds NaN or infinity, expected finite numbers")


def _check_encoder(encoder: Encoder) -> None:
    if isinstance(encoder, Trace):
        ranges = {
            "length": encoder.length >= 1,
            "step_decay": 0 < encoder.step_decay <= 1,
            "gap_scale_s": encoder.gap_scale_s > 0,
            "gap_exponent": encoder.gap_exponent >= 0,
        }
    elif isinstance(encoder, Attention):
        ranges = {
            "length": 1 <= encoder.length <= MOST_FACTORS,
            "width": 1 <= encoder.width <= MOST_FACTORS,
            "heads": encoder.heads >= 1 and encoder.width % max(encoder.heads, 1) == 0,
            "blocks": 1 <= encoder.blocks <= 64,
            "parts": 1 <= encoder.parts <= 2,
            "gaps": 0 <= encoder.gaps <= MOST_FACTORS,
        }
    else:
        ranges = {
            "length": encoder.length >= 0,
            "unobserved_weight": encoder.unobserved_weight >= 0,
            "regularization": encoder.regularization > 0,
            "exponent": encoder.exponent >= 0,
        }
    for name, good in ranges.items():
        if not good:
            raise ArtefactMismatchError(f"encoder's {name} is {getattr(encoder, name)!r}, out of its range")
