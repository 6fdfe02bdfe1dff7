"""Vectors of sentences, kept in a folder by what they are of: only sentences that are new are encoded.

One safetensors file an encoder: `key` uint8[n, 32], sha256 of a sentence each, ascending, and `vector` float32[n, d].
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from batch_models.text_encoders import TextEncoder

_log = logging.getLogger(__name__)


def encode_cached(
    encoder: TextEncoder, sentences: Sequence[str], folder: Path | None
) -> tuple[NDArray[np.float32], int]:
    """Encode sentences, those that `folder` has not; return float32[n, d] and how many were encoded.

    An encoder that looks at all sentences together is asked anew unless these very ones were encoded. A file that
    cannot be read is left out, with a warning, and written anew.
    """
    if folder is None:
        return encoder.encode(sentences), len(sentences)
    if not encoder.of_single:
        together = hashlib.sha256("\0".join(sentences).encode()).hexdigest()[:16]
        path = folder / f"{encoder.name}-{together}.safetensors"
    else:
        path = folder / f"{encoder.name}.safetensors"
    known = _read(path)
    keys = [hashlib.sha256(text.encode()).digest() for text in sentences]
    new = dict.fromkeys(key for key in keys if key not in known)
    if new:
        text_of = dict(zip(keys, sentences, strict=True))
        wanted = list(new) if encoder.of_single else keys
        found = encoder.encode([text_of[key] for key in wanted])
        known |= dict(zip(wanted, found, strict=True))
        _write(path, known)
    width = len(next(iter(known.values()))) if known else 0
    vectors = np.array([known[key] for key in keys], np.float32).reshape(len(keys), width)
    return vectors, len(new)


def _read(path: Path) -> dict[bytes, NDArray[np.float32]]:
    if not path.exists():
        return {}
    try:
        arrays = safetensors.numpy.load(path.read_bytes())
        return {key.tobytes(): vector for key, vector in zip(arrays["key"], arrays["vector"], strict=True)}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        _log.warning("%s is left out and written anew: %s", path, error)
        return {}


def _write(path: Path, known: dict[bytes, NDArray[np.float32]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = sorted(known)
    arrays = {
        "key": np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1),
        "vector": np.array([known[key] for key in keys], np.float32),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(safetensors.numpy.save(arrays))
    part.replace(path)
