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

Arrays: item_in float32[items, d], item_out float32[items, d], bias float32[items]; row i is item_ids[i] of the manifest.
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

SCHEMA: Final = 1
FACTORS: Final = "factors"
WEIGHTS: Final = "model.safetensors"
MANIFEST: Final = "manifest.json"
MOST_FACTORS: Final = 1024

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


Encoder = Trace | Ridge


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
    schema: int = SCHEMA


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
    for name, wanted in {"item_in": (n, d), "item_out": (n, d), "bias": (n,)}.items():
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
