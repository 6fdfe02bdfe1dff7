"""Suites of `engram compare`: streams, peers and experiments under one name."""

from __future__ import annotations

from typing import Final, NamedTuple

from engram.compare_cells import StreamChoice
from engram.source_systems.registry import EXPERIMENTS
from peers.catalogue import PEERS
from peers.files import CALL_LIKES, RANK_EVENTS


class Suite(NamedTuple):
    """about: one line. streams: for all models. peers: on `peer_streams`, or on all streams where these are none.

    steps: names of `EXPERIMENTS`. seeds: of each model and peer that draws at random, on
    `peer_streams` likewise.
    """

    about: str
    streams: tuple[StreamChoice, ...]
    peers: tuple[str, ...]
    steps: tuple[str, ...]
    peer_streams: tuple[StreamChoice, ...] = ()
    seeds: int = 1


_ON_STREAMS: Final = tuple(name for name, peer in PEERS.items() if peer.protocol in {RANK_EVENTS, CALL_LIKES})
_ML_100K: Final = StreamChoice("ml-100k", 5.0), StreamChoice("ml-100k", None)
SUITES: Final[dict[str, Suite]] = {
    "paper": Suite(
        "all models on six streams, peers and source systems",
        (
            _ML_100K[0],
            StreamChoice("ml-100k", 4.0),
            _ML_100K[1],
            StreamChoice("ml-1m", 5.0),
            StreamChoice("ml-1m", 4.0),
            StreamChoice("ml-latest-small", 4.0),
        ),
        _ON_STREAMS,
        tuple(EXPERIMENTS),
        _ML_100K,
        seeds=3,
    ),
    "peers": Suite("all models and peers on MovieLens 100K", _ML_100K, _ON_STREAMS, ("leave-one-out",)),
    "sources": Suite(
        "the source systems alone", (), (), tuple(name for name in EXPERIMENTS if name != "leave-one-out")
    ),
}
