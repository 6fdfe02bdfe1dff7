"""What lanes tell each other of items: the records of the compacted topic `contributions`.

A lane writes to the partition of its own number. Under a key there is always the whole of what the lane has learned
there until then, so a newer record replaces an older one, and a reader that comes late reads each once:

* `ids/<block>`: ids of the lane's item rows [block * 256, ...), by which other records name items;
* `<model>/<block>`: state of the item rows of a block, as `ItemState`, weights in half precision of the row's largest;
* `position`: behind the others, how many events the lane had learned; only what stands before one is complete.

Item rows are renumbered when items are evicted: records of an earlier `generation` than the newest count no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eventlog.log import Record
from online_models.item_shares import NO_POST, ItemState

SCHEMA_VERSION: Final = 1
IDS_A_BLOCK: Final = 256
POSITION_KEY: Final = b"position"
_HALF = np.float16
_MOST_SYNAPSES: Final = 1 << 22  # of a block, when its rows are made as long as the longest


class Ids(msgspec.Struct, frozen=True, tag="ids", kw_only=True):
    """Ids of rows [first, first + n): `S<width>`[n] as bytes."""

    generation: int
    first: int
    width: int
    ids: bytes
    v: int = SCHEMA_VERSION

    def array(self) -> NDArray[np.bytes_]:
        """The ids, `S<width>`[n]. Raises `ValueError` where there are none, or their bytes do not fit."""
        if self.first < 0 or self.width < 1 or not self.ids or len(self.ids) % self.width:
            raise ValueError(
                f"ids from row {self.first} on: {len(self.ids)} bytes of width {self.width}, expected a multiple of it"
            )
        return np.frombuffer(self.ids, f"S{self.width}")


class Block(msgspec.Struct, frozen=True, tag="block", kw_only=True):
    """State of rows [first, first + n) of `model`.

    base: tick of the scale that activity (float64[n]) and weights are on, on the lane's clock. counts: int32[n], synapses
    of each row; posts: uint32, their rows in the lane; largest: float32[n]; weights: float16, of the row's largest.
    """

    generation: int
    model: str
    first: int
    base: int
    activity: bytes
    counts: bytes = b""
    posts: bytes = b""
    largest: bytes = b""
    weights: bytes = b""
    v: int = SCHEMA_VERSION


class Position(msgspec.Struct, frozen=True, tag="position", kw_only=True):
    """The lane had learned `learned` events, of `items` items, when it wrote what stands before."""

    generation: int
    learned: int
    items: int
    v: int = SCHEMA_VERSION


Contribution = Ids | Block | Position
_decoder: msgspec.msgpack.Decoder[Contribution] = msgspec.msgpack.Decoder(Contribution)
_encode = msgspec.msgpack.Encoder().encode


def decode_contribution(value: bytes) -> Contribution:
    """Decode a value of the topic. Raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def ids_records(ids: NDArray[np.bytes_], generation: int, first_new: int) -> Iterator[Record]:
    """Records of the blocks from that of row `first_new` on; ids: of all rows."""
    for block in range(first_new // IDS_A_BLOCK, -(-len(ids) // IDS_A_BLOCK)):
        part = ids[block * IDS_A_BLOCK : (block + 1) * IDS_A_BLOCK]
        said = Ids(
            generation=generation, first=block * IDS_A_BLOCK, width=part.dtype.itemsize, ids=part.tobytes()
        )
        yield Record(b"ids/%d" % block, _encode(said))


def block_record(
    model: str, block: int, rows: NDArray[np.int32], state: ItemState, base: int, generation: int
) -> Record:
    """The record of `rows`, consecutive ones, of which `state` is said."""
    there = state.post != NO_POST
    counts = there.sum(axis=1, dtype=np.int32)
    largest = state.weight.max(axis=1, initial=0)
    shares = state.weight / np.where(largest > 0, largest, 1)[:, None]
    said = Block(
        generation=generation,
        model=model,
        first=int(rows[0]),
        base=base,
        activity=state.activity.tobytes(),
        counts=counts.tobytes(),
        posts=state.post[there].astype(np.uint32).tobytes(),
        largest=largest.astype(np.float32).tobytes(),
        weights=shares[there].astype(_HALF).tobytes(),
    )
    return Record(b"%s/%d" % (model.encode(), block), _encode(said))


def position_record(generation: int, learned: int, items: int) -> Record:
    """The record behind those of one exchange."""
    return Record(POSITION_KEY, _encode(Position(generation=generation, learned=learned, items=items)))


def state_of(said: Block) -> ItemState:
    """What a block says, posts by the rows of the lane that said it. Raises `ValueError` where its parts do not fit."""
    activity = np.frombuffer(said.activity, np.float64)
    counts = np.frombuffer(said.counts, np.int32)
    posts = np.frombuffer(said.posts, np.uint32)
    weights, largest = np.frombuffer(said.weights, _HALF), np.frombuffer(said.largest, np.float32)
    n = len(activity)
    if (
        said.first < 0
        or not len(counts) == len(largest) == n
        or not len(posts) == len(weights) == counts.sum()
        or (counts < 0).any()
    ):
        raise ValueError(
            f"block of {said.model}: {n} rows from {said.first} on with {len(counts)} counts of {len(posts)} posts and {len(weights)} weights"
        )
    width = int(counts.max(initial=0))
    if n * width > _MOST_SYNAPSES:
        raise ValueError(f"block of {said.model}: {n} rows of up to {width} synapses, expected fewer")
    for name, values in (("activity", activity), ("weights", weights), ("largest", largest)):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"block of {said.model}: {name} are not all finite and 0 or more")
    post, weight = np.full((n, width), NO_POST, np.int32), np.zeros((n, width), np.float32)
    there = np.arange(width) < counts[:, None]
    post[there] = posts
    weight[there] = weights * np.repeat(largest, counts)
    return ItemState(activity, np.full(n, said.base), weight, post)


def changed_blocks(changed: NDArray[np.bool_], rows_a_block: int) -> Sequence[int]:
    """Numbers of the blocks with a changed row."""
    return [int(block) for block in np.unique(np.flatnonzero(changed) // rows_a_block)]
