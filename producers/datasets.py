"""The registry of data sets: a new one is a reader in its own file, and one entry here."""

from __future__ import annotations

from typing import NamedTuple

from producers.readers.ml_1m import Ml1mReader
from producers.readers.ml_10m import Ml10mReader
from producers.readers.ml_100k import Ml100kReader
from producers.readers.ml_latest import MlLatestReader
from producers.readers.movie_tweetings import MovieTweetingsReader
from producers.readers.reader import Reader
from producers.readers.the_movies_dataset import FILMS, LINKS, RATINGS, TheMoviesDatasetReader

PUBLISHER = "https://files.grouplens.org/datasets/movielens/"


class Dataset(NamedTuple):
    """A data set of a publisher.

    archive: a zip under `PUBLISHER`, with its MD5 in `<archive>.md5` beside it; None where there is none, and a user
    brings the folder. files: what the reader needs. ratings, users, items: the publisher's counts (items and users:
    of those with a rating), None for what grows. rating_min, rating_max, rating_step: the scale; step 0: any number.
    archive_folder: the one in the archive, where it is not `name`.
    """

    name: str
    title: str
    archive: str | None
    files: tuple[str, ...]
    ratings: int | None
    users: int | None
    items: int | None
    rating_min: float
    rating_max: float
    rating_step: float
    reader: Reader
    archive_folder: str | None = None


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
            name="ml-10m",
            title="MovieLens 10M (2009)",
            archive="ml-10m.zip",
            files=("ratings.dat", "movies.dat"),
            ratings=10_000_054,
            users=69_878,
            items=10_677,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=Ml10mReader(),
            archive_folder="ml-10M100K",
        ),
        Dataset(
            name="ml-20m",
            title="MovieLens 20M (2015)",
            archive="ml-20m.zip",
            files=("ratings.csv", "movies.csv"),
            ratings=20_000_263,
            users=138_493,
            items=26_744,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=MlLatestReader(),
        ),
        Dataset(
            name="ml-25m",
            title="MovieLens 25M (2019)",
            archive="ml-25m.zip",
            files=("ratings.csv", "movies.csv"),
            ratings=25_000_095,
            users=162_541,
            items=59_047,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=MlLatestReader(),
        ),
        Dataset(
            name="ml-32m",
            title="MovieLens 32M (2024)",
            archive="ml-32m.zip",
            files=("ratings.csv", "movies.csv"),
            ratings=32_000_204,
            users=200_948,
            items=84_432,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=MlLatestReader(),
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
        Dataset(
            name="the-movies-dataset",
            title="The Movies Dataset (small)",
            archive=None,
            files=(RATINGS, LINKS, FILMS),
            ratings=100_004,
            users=671,
            items=9_066,
            rating_min=0.5,
            rating_max=5.0,
            rating_step=0.5,
            reader=TheMoviesDatasetReader(),
        ),
        Dataset(
            name="movietweetings",
            title="MovieTweetings",
            archive=None,
            files=("ratings.dat", "movies.dat"),
            ratings=None,
            users=None,
            items=None,
            rating_min=0.0,
            rating_max=10.0,
            rating_step=1.0,
            reader=MovieTweetingsReader(),
        ),
    )
}
