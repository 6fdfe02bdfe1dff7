"""The peers by name: the environment that each needs, its program, its protocol, and how many events it is given."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from peers.files import CALL_LIKES, LEAVE_ONE_OUT, RANK_EVENTS

REQUIREMENTS: Final = Path(__file__).parent / "requirements"


class Peer(NamedTuple):
    """A model of another library.

    environment: name of its file in `REQUIREMENTS`. program: module in `peers.programs`; model: which of its models.
    protocol: see `peers.files`. events: the most that it is given, None for all: the first ones of a stream, for a slow
    peer. users: the same for questions, the first ones that are asked about. homepage: of the library or paper.
    """

    environment: str
    program: str
    model: str
    protocol: str
    events: int | None
    users: int | None
    homepage: str


def _rank(environment: str, program: str, model: str, homepage: str, events: int | None = None) -> Peer:
    return Peer(environment, program, model, RANK_EVENTS, events, None, homepage)


def _likes(environment: str, program: str, model: str, homepage: str, events: int | None = None) -> Peer:
    return Peer(environment, program, model, CALL_LIKES, events, None, homepage)


def _asked(environment: str, program: str, model: str, homepage: str, users: int | None) -> Peer:
    return Peer(environment, program, model, LEAVE_ONE_OUT, None, users, homepage)


_FEW: Final = 25_000  # all of MovieLens 100K from five stars on; minutes of one core for each of them
_RIVER: Final = "https://riverml.xyz"
_FLURS: Final = "https://github.com/takuti/flurs"
_IMPLICIT: Final = "https://github.com/benfred/implicit"
_SKLEARN: Final = "https://scikit-learn.org"
_RECBOLE: Final = "https://recbole.io"
PEERS: Final[dict[str, Peer]] = {
    "river.Baseline": _rank("river", "river_reco", "Baseline", _RIVER, events=10_000),
    "river.FunkMF": _rank("river", "river_reco", "FunkMF", _RIVER, events=10_000),
    "river.BiasedMF": _rank("river", "river_reco", "BiasedMF", _RIVER, events=10_000),
    "flurs.MF": _rank("flurs", "flurs_models", "MF", _FLURS, events=_FEW),
    "flurs.BPRMF": _rank("flurs", "flurs_models", "BPRMF", _FLURS, events=_FEW),
    "flurs.UserKNN": _rank("flurs", "flurs_models", "UserKNN", _FLURS, events=2_000),
    "flurs.FM": _rank("flurs", "flurs_models", "FM", _FLURS, events=2_000),
    "implicit.ALS": _rank("implicit", "implicit_models", "ALS", _IMPLICIT, events=_FEW),
    "implicit.BPR": _rank("implicit", "implicit_models", "BPR", _IMPLICIT, events=_FEW),
    "EASE": _rank("numpy", "ease", "EASE", "https://arxiv.org/abs/1905.03375", events=_FEW),
    "neurorec": _rank("numpy", "neurorec", "co-activation", "source system 1, see docs/results", events=_FEW),
    "sklearn.SGDClassifier": _likes("scikit-learn", "sklearn_models", "SGDClassifier", _SKLEARN, events=_FEW),
    "sklearn.LogisticRegression": _likes(
        "scikit-learn", "sklearn_models", "LogisticRegression", _SKLEARN, events=_FEW
    ),
    "wisardpkg.Wisard": _likes(
        "wisardpkg", "wisardpkg_models", "Wisard", "https://github.com/IAZero/wisardpkg", events=_FEW
    ),
    "recbole.NeuMF": _asked("recbole", "recbole_models", "NeuMF", _RECBOLE, users=200),
    "recbole.SASRec": _asked("recbole", "recbole_models", "SASRec", _RECBOLE, users=200),
}
# What they say depends on the task's seed, or of wisardpkg on chance: its mapping cannot be given a seed.
DRAWS: Final = frozenset(
    {
        *("river.FunkMF", "river.BiasedMF"),
        *("flurs.MF", "flurs.BPRMF", "flurs.FM"),
        *("implicit.ALS", "implicit.BPR"),
        *("recbole.NeuMF", "recbole.SASRec"),
        "wisardpkg.Wisard",
    }
)
ENVIRONMENTS: Final = tuple(dict.fromkeys(peer.environment for peer in PEERS.values()))


def peer_sources(name: str) -> str:
    """Return a digest of what a peer's figures depend on here: its program, the exchange, and its packages' versions."""
    peer = PEERS[name]
    here = Path(__file__).parent
    files = [
        *(here / f"{module}.py" for module in ("files", "prequential", "refitted")),
        here / "programs" / f"{peer.program}.py",
        REQUIREMENTS / f"{peer.environment}.txt",
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
