"""The experiments of the source systems: their parts by hand, and whole ones on little made data."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from engram.compare_steps import steps_of, write_step
from engram.settings import Settings
from engram.source_systems import weightless
from engram.source_systems.hybrid_parts import HybridRule, diversity, novelty, tie_averaged_ndcg, weights_for
from engram.source_systems.levels import (
    LEVELS,
    OWN,
    distribution,
    films_of,
    fit_weights,
    likeliest,
    no_counts,
    read_events,
)
from engram.source_systems.registry import EXPERIMENTS, Asked, runner
from engram.source_systems.tables import ResultTable, as_json, markdown_of
from eventlog.errors import DataMissingError, SettingsError


def test_the_likeliest_two_stars_are_not_the_mean() -> None:
    p = np.zeros((2, 10))
    p[0, [1, 7, 9]] = 0.3, 0.3, 0.4  # 1, 4 and 5 stars: the mean is 3.5, and right for 4 alone
    p[1, 9] = 1.0  # five stars: 4, 4.5 and 5 are within one; the highest of equal ones
    assert likeliest(p).tolist() == [5.0, 5.0]


def test_evidence_is_what_stood_before_the_event() -> None:
    films = films_of(
        np.array([[1.0], [0.0]]), np.array([8.0, np.nan]), np.array([60.0, 0.0]), np.array([2015.0, np.nan])
    )
    assert films.vote.tolist() == pytest.approx([(8 * 60 + 6.5 * 20) / 80 - 6.5, 0.0])
    assert films.year.tolist() == [1.0, 0.0]
    counts = no_counts(1, films)
    out = np.zeros((2, 10, OWN + 1))
    user, film = np.array([0, 0]), np.array([0, 0])
    rating, others = np.array([4.0, 5.0]), np.array([[np.nan], [3.0]])
    read_events(counts, films, user, film, rating, others, out, True)
    # First: a flat crowd, whose mean is 2.75; nothing known of user and film.
    assert out[0, :, 0] == pytest.approx(np.full(10, math.log(0.1)))
    assert out[0, :, [1, 2, 4, 5, 7, 10]] == pytest.approx(np.zeros((6, 10)))
    assert out[0, :, 3] == pytest.approx(-((LEVELS - 2.75) ** 2))
    # Then: four stars, level 8, were seen once, beside 10 levels of .2.
    crowd = np.full(10, 0.2)
    crowd[7] += 1.0
    mean = float(crowd @ LEVELS / 3.0)
    assert out[1, 7, 0] == pytest.approx(math.log(1.2 / 3.0))
    assert out[1, 7, 1] == pytest.approx(math.log((1 + 3 * 0.4) / 4 / 0.4))
    assert out[1, 9, 4] == pytest.approx((5.0 - mean) * (4.0 - 2.75) / 6)
    assert out[1, 9, 5] == pytest.approx((5.0 - mean) * (4.0 - 2.75) / 4)
    assert out[1, 9, 10] == pytest.approx((5.0 - mean) * (3.0 - mean))
    # A question changes nothing.
    before = [array.copy() for array in counts]
    read_events(counts, films, user[:1], film[:1], rating[:1], others[:1], out[:1], False)
    assert all(np.array_equal(one, two) for one, two in zip(before, counts, strict=True))


def test_weights_are_at_the_top_of_the_penalised_likelihood() -> None:
    random = np.random.default_rng(0)
    evidence = random.normal(size=(60, 10, OWN))
    rating = random.choice(LEVELS, 60)
    used = np.array([0, 3, 4])
    weights = fit_weights(evidence, rating, used)
    assert weights[[1, 2, 5, 6, 7, 8, 9]].tolist() == [0.0] * 7

    def objective(of: np.ndarray) -> float:
        p = distribution(evidence, of)[np.arange(60), (2 * rating).astype(int) - 1]
        ridge = 5.0 * ((of[used] - np.array([1.0, 0.0, 0.0])) ** 2).sum()
        return float(np.log(p).sum() - ridge)

    best = objective(weights)
    for kind in used:
        for step in (-0.01, 0.01):
            moved = weights.copy()
            moved[kind] += step
            assert objective(moved) < best


def test_a_scorer_that_pays_for_no_hit() -> None:
    # Four candidates, a list of two without the one that is relevant: the tie holds places 3 and 4.
    worth = [1 / math.log2(place + 1) for place in (1, 2, 3, 4)]
    found = tie_averaged_ndcg(np.array([0, 1]), np.array([2]), 4)
    assert found == pytest.approx((worth[2] + worth[3]) / 2)
    assert tie_averaged_ndcg(np.array([2, 1]), np.array([2]), 4) == pytest.approx(1.0)


def test_the_hybrids_rule_by_hand() -> None:
    assert [weights_for(n) for n in (0, 4, 5, 9, 10)] == [
        (0.7, 0.2, 0.1), (0.7, 0.2, 0.1), (0.5, 0.35, 0.15), (0.5, 0.35, 0.15), (0.3, 0.6, 0.1),
    ]  # fmt: skip
    genres = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rule = HybridRule(genres, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), 2)
    # Of one who had item 1: content 1, 1, 0; collaborative 1/sqrt 2 for item 0 and 1 for itself; counts 2, 1, 1.
    expected = [0.7 + 0.2 / math.sqrt(2) + 0.1, 0.7 + 0.2 + 0.05, 0.05]
    assert rule.scores(np.array([1])) == pytest.approx(expected)


def test_diversity_and_novelty_by_hand() -> None:
    genres = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert diversity(np.array([[0, 1, 2]]), genres) == 0.5
    assert novelty(np.array([[0, 1, 2]]), np.array([4.0, 2.0, 0.0]), 8) == 1.5


def write_movies(folder: Path, users: int = 12, films: int = 30) -> None:
    """The Movies Dataset in its form: everybody rates ten films and more, the even ones better."""
    folder.mkdir(parents=True)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(1, users + 1):
        for step in range(12):
            film = 1 + (user * 5 + step * 7) % films
            lines.append(
                f"{user},{film},{4.5 if film % 2 == 0 else 2.5},{1_000_000_000 + 1000 * step + user}"
            )
    (folder / "ratings_small.csv").write_text("\n".join(lines) + "\n")
    links = ["movieId,imdbId,tmdbId", *(f"{film},{film:07d},{100 + film}" for film in range(1, films + 1))]
    (folder / "links_small.csv").write_text("\n".join(links) + "\n")
    rows = ["id,title,genres,runtime,vote_average,vote_count,year,original_language"]
    rows += [
        f"{number},Film {number},{'Drama' if number % 2 else 'Comedy|Family'},90.0,{5 + number % 3},{number},1990.0,en"
        for number in [*range(1, 20), *range(101, 101 + films)]
    ]
    with gzip.open(folder / "movies_features_45k.csv.gz", "wt") as file:
        file.write("\n".join(rows).replace(".0,en", ",en") + "\n")


def test_a_temporal_draw_learns_nothing_that_is_later_of_the_same_user(tmp_path: Path) -> None:
    write_movies(tmp_path / "the-movies-dataset")
    movies = weightless.read_movies(tmp_path / "the-movies-dataset")
    of = weightless.draw(movies, 10, 0, 5, by_time=True)
    assert of.users == 5
    assert len(of.test) == 5 * 2
    for user in np.unique(movies.user[of.test]):
        learned = of.train[movies.user[of.train] == user]
        asked = of.test[movies.user[of.test] == user]
        assert movies.time_ms[learned].max() < movies.time_ms[asked].min()
    assert movies.right.found == 30
    # Films 1 to 19 are found by the wrong join, and are others.
    assert movies.wrong.found == 19
    assert not np.array_equal(movies.right.bits[:19], movies.wrong.bits[:19])


def test_an_experiment_from_its_step_to_its_tables(tmp_path: Path) -> None:
    write_movies(tmp_path / "data" / "the-movies-dataset")
    settings = Settings(data_dir=str(tmp_path / "data"))
    [step] = steps_of(["weightless"], settings, tmp_path, [], tmp_path)
    assert step.finished() is None
    tables = runner("weightless")(Asked(settings, tmp_path, {}, small=True))
    assert [table.name for table in tables] == ["weightless-as-it-was", "weightless", "weightless-rounds"]
    by_model = {row["model"]: row for row in tables[1].rows}
    constant = [
        row
        for row in tables[2].rows
        if row["model"] == "always four stars" and row["protocol"] == "as it should be"
    ]
    assert by_model["always four stars"]["10 reviews"] == constant[1]["accuracy"]
    assert "Engram: blend" in by_model
    measured = {
        "tables": [as_json(table) for table in tables],
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_memory_bytes": 1 << 20,
        "machine": "x",
    }
    step.keep(measured, jobs=1)
    written = write_step(tmp_path, step, "engram compare --suite sources")
    assert [path.name for path in written] == [*(f"{table.name}.csv" for table in tables), "weightless.md"]
    with written[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["seed"] == "0"
    assert len(rows) == len(tables[0].rows)
    text = written[-1].read_text("utf-8")
    assert "## As it should have been" in text
    assert "Made by `engram compare --suite sources` (1 s, 1 s of CPU time, 1.0 MiB at most; seed 0" in text


def test_tables_in_markdown() -> None:
    rows = (
        {"model": "a", "x": 0.123456, "n": 12_345, "none": None},
        {"model": "b", "x": 1234.5, "n": 2, "none": None},
    )
    lines = markdown_of(ResultTable("t", "Title", ("Said.",), rows))
    assert lines == [
        "## Title",
        "",
        "| model | x | n | none |",
        "|---|---:|---:|---:|",
        "| a | 0.1235 | 12,345 | - |",
        "| b | 1,234.5 | 2 | - |",
        "",
        "Said.",
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="need ml-100k in the data folder"):
        steps_of(["neurorec"], Settings(data_dir=str(tmp_path)), tmp_path, [], tmp_path)
    with pytest.raises(SettingsError, match="peer-python is 'x=y'"):
        steps_of(["neurorec"], Settings(data_dir=str(tmp_path)), tmp_path, ["x=y"], tmp_path)
    assert list(EXPERIMENTS) == ["neurorec", "hybrid-app", "weightless", "mlp", "neumf", "leave-one-out"]


@pytest.mark.full
@pytest.mark.data
@pytest.mark.parametrize("name", ["neurorec", "hybrid-app", "mlp", "neumf", "leave-one-out"])
def test_every_experiment_on_little_real_data(name: str, data_dir: Path, tmp_path: Path) -> None:
    tables = runner(name)(Asked(Settings(data_dir=str(data_dir)), tmp_path, {}, small=True))
    assert tables
    assert all(table.rows for table in tables)
