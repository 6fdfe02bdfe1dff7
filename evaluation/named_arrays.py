"""State as named arrays: what goes into checkpoints, comes back bit for bit, and is hashed into digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def refill(targets: Mapping[str, NDArray[Any]], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Fill `targets` in place with the arrays of the same names.

    Raises `ValueError` for an array that is absent or of another type or shape.
    """
    for name, target in targets.items():
        array = arrays.get(name)
        if array is None or array.shape != target.shape or array.dtype != target.dtype:
            found = "absent" if array is None else f"{array.dtype}{array.shape}"
            raise ValueError(f"{name} is {found}, expected {target.dtype}{target.shape}")
        target[...] = array


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Sha256 of names, types, shapes and contents."""
    whole = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
