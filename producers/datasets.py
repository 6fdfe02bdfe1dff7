"""The registry of data sets: a new one is a reader in its own file, and one entry here."""

from __future__ import annotations

from typing import NamedTuple

from producers.readers.ml_1m import Ml1mReader
from producers.readers.ml_100k import Ml100kReader
from producers.readers.ml_latest import MlLatestReader
from producers.readers.reader import Reader

PUBLISHER = "https://files.grouplens.org/datasets/movielens/"


class Dataset(NamedTuple):
    """A data set of a publisher.

    archive: a zip under `PUBLISHER`, with its MD5 in `<archive>.md5` beside it; it holds one folder, `name`.
    files: what the reader needs. ratings, users, items: the publisher's own counts (items: those rated).
    rating_min, rating_max, rating_step: the scale.
    """

    name: str
    title: str
    archive: str
    files: tuple[str, ...]
    ratings: int
    users: int
    items: int
    rating_min: float
    rating_max: float
    rating_step: float
    reader: Reader


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="ml-100k",
            title="MovieLens 100K (1998)",
            archive="ml-100k.zip",
            files=("u.data", "u.item", "u.user", "u.genre"),
            ratings=100_000,
            users=943,
            items=1_682,
            rating_min=1.0,
            rating_max=5.0,
            rating_step=1.0,
            reader=Ml100kReader(),
        ),
        Dataset(
            name="ml-1m",
            title="MovieLens 1M (2003)",
            archive="ml-1m.zip",
            files=("ratings.dat", "movies.dat", "users.dat"),
            ratings=1_000_209,
            users=6_040,
            items=3_706,
            rating_min=1.0,
            rating_max=5.0,
            rating_step=1.0,
            reader=Ml1mReader(),
        ),
        Dataset(
            name="ml-latest-small",
            title="MovieLens latest-small (2018)",
            archive="ml-latest-small.zip",
            files=("ratings.csv", "movies.csv"),
            ratings=100_836,
            users=610,
            items=9_724,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=MlLatestReader(),
        ),
    )
}
