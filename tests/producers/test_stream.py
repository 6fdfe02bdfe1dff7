"""Streams: which events of a data set are replayed, in which order, and the digest that names them."""

from __future__ import annotations

import hashlib
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.datasets import DATASETS
from producers.event_order import TieOrder
from producers.stream import Cut, DatasetStream
from tests.producers.dataset_files import write_dataset

LINES = ["5 1 5 30", "3 2 3 10", "11 1 4 20", "3 1 5 20", "7 9 2 20"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = "".join("\t".join(line.split()) + "\n" for line in LINES)
    return write_dataset(tmp_path, "ml-100k", u_data=text)


def stream(folder: Path, cut: Cut) -> DatasetStream:
    return DatasetStream(DATASETS["ml-100k"], folder, cut)


def said(one: DatasetStream) -> list[str]:
    """The events as their lines in the file."""
    columns = one.block(0, one.total_events)
    return [
        f"{user.decode()} {item.decode()} {rating:g} {time_ms // 1000}"
        for user, item, rating, time_ms in zip(*(column.tolist() for column in columns), strict=True)
    ]


def test_equal_times_are_ordered_by_crc32_of_user_and_item(folder):
    ties = ["11 1 4 20", "3 1 5 20", "7 9 2 20"]
    by_crc = sorted(ties, key=lambda line: zlib.crc32("|".join(line.split()[:2]).encode()))
    assert by_crc != ties
    assert said(stream(folder, Cut())) == ["3 2 3 10", *by_crc, "5 1 5 30"]


def test_equal_times_stay_in_file_order_when_asked_to(folder):
    by_file = ["3 2 3 10", "11 1 4 20", "3 1 5 20", "7 9 2 20", "5 1 5 30"]
    assert said(stream(folder, Cut(tie_order=TieOrder.FILE))) == by_file


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (Cut(min_rating=5), ["3 1 5 20", "5 1 5 30"]),
        (Cut(min_rating=5.5), []),
        (Cut(from_ms=20_001), ["5 1 5 30"]),
        (Cut(from_ms=30_000), ["5 1 5 30"]),
        (Cut(to_ms=20_000), ["3 2 3 10"]),
        (Cut(from_ms=10_000, to_ms=20_000), ["3 2 3 10"]),
        (Cut(min_rating=4, limit=2, tie_order=TieOrder.FILE), ["11 1 4 20", "3 1 5 20"]),
        (Cut(limit=1), ["3 2 3 10"]),
    ],
)
def test_a_cut_is_made_before_events_are_numbered(folder, cut, expected):
    one = stream(folder, cut)
    assert said(one) == expected
    assert one.total_events == len(expected)


def test_blocks_are_parts_of_the_whole(folder):
    one = stream(folder, Cut())
    whole = one.block(0, 5).event_time_ms.tolist()
    parts = [one.block(first, 2).event_time_ms.tolist() for first in (0, 2, 4, 5, 9)]
    assert parts == [whole[:2], whole[2:4], whole[4:], [], []]


def test_the_source_names_what_its_numbers_depend_on(folder):
    cuts = [
        Cut(),
        Cut(min_rating=5),
        Cut(tie_order=TieOrder.FILE),
        Cut(from_ms=1),
        Cut(to_ms=1),
        Cut(from_ms=1, to_ms=2),
        Cut(to_ms=12),
    ]
    assert len({stream(folder, cut).source_id for cut in cuts}) == len(cuts)
    # A limit leaves the numbers as they are: a replay with a larger one goes on.
    assert stream(folder, Cut(limit=2)).source_id == stream(folder, Cut()).source_id


def test_the_digest_is_that_of_the_events(folder, tmp_path):
    whole = stream(folder, Cut()).digest()
    assert stream(folder, Cut()).digest() == whole
    # Line order in the file is no property of the events, where no time and no CRC-32 is equal ...
    turned = write_dataset(
        tmp_path / "turned",
        "ml-100k",
        u_data="".join("\t".join(line.split()) + "\n" for line in reversed(LINES)),
    )
    assert stream(turned, Cut()).digest() == whole
    # ... and neither is how wide the ids of those left out were; anything else is one.
    digests = {whole}
    for number, (old, new) in enumerate(
        [("5 1 5 30", "5 1 4 30"), ("5 1 5 30", "5 1 5 31"), ("5 1 5 30", "6 1 5 30"), ("7 9 2", "7 8 2")]
    ):
        text = "".join("\t".join(line.replace(old, new).split()) + "\n" for line in LINES)
        changed = write_dataset(tmp_path / str(number), "ml-100k", u_data=text)
        digests.add(stream(changed, Cut()).digest())
    assert len(digests) == 5
    kept = [line for line in LINES if line.split()[2] == "5"]
    narrow = write_dataset(
        tmp_path / "narrow", "ml-100k", u_data="".join("\t".join(line.split()) + "\n" for line in kept)
    )
    assert stream(narrow, Cut()).digest() == stream(folder, Cut(min_rating=5)).digest()


@given(
    lines=st.lists(
        # Few users, items and seconds: many events that are equal in all but their rating.
        st.tuples(st.sampled_from((1, 2, 30)), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4)),
        min_size=1,
        max_size=40,
    ),
    memory_events=st.integers(1, 41),
    tie_order=st.sampled_from(TieOrder),
    limit=st.none() | st.integers(1, 41),
    min_rating=st.sampled_from((0.0, 3.0)),
)
@settings(max_examples=150, deadline=None)
def test_order_blocks_and_digest_are_those_of_any_memory(lines, memory_events, tie_order, limit, min_rating):
    with tempfile.TemporaryDirectory() as name:
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        folder = write_dataset(Path(name), "ml-100k", u_data=text)
        one = DatasetStream(
            DATASETS["ml-100k"], folder, Cut(min_rating, tie_order, limit=limit), memory_events
        )

    def key(line: tuple[int, ...]) -> tuple[int, int]:
        user, item, _, second = line
        return second, zlib.crc32(b"%d|%d" % (user, item)) if tie_order is TieOrder.HASH else 0

    expected = sorted((line for line in lines if line[2] >= min_rating), key=key)[:limit]
    assert said(one) == [" ".join(map(str, line)) for line in expected]
    assert one.total_events == len(expected)
    for first in (0, 3, len(expected)):
        assert one.block(first, 5).event_time_ms.tolist() == [
            line[3] * 1000 for line in expected[first : first + 5]
        ]
    assert one.digest() == digest_of(expected)


def digest_of(lines: list[tuple[int, ...]]) -> str:
    """sha256 of the events' users, items, ratings and milliseconds, ids as wide as the longest."""
    total = hashlib.sha256()
    for place in (0, 1):
        ids = [b"%d" % line[place] for line in lines]
        for one in ids:
            total.update(one.ljust(max(map(len, ids)), b"\0"))
    total.update(struct.pack(f"<{len(lines)}d", *(line[2] for line in lines)))
    total.update(struct.pack(f"<{len(lines)}q", *(line[3] * 1000 for line in lines)))
    return total.hexdigest()


def test_what_is_sorted_on_the_disk_leaves_nothing_there(folder, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    one = DatasetStream(DATASETS["ml-100k"], folder, Cut(), memory_events=2)
    assert list(place.iterdir()) == []
    assert said(one) == said(stream(folder, Cut()))


@pytest.mark.data
@pytest.mark.parametrize("tie_order", list(TieOrder))
def test_real_data_sorted_on_the_disk(data_dir, tie_order):
    streams = [
        DatasetStream(DATASETS["ml-100k"], data_dir / "ml-100k", Cut(tie_order=tie_order), memory_events)
        for memory_events in (1_000_000, 7_001)
    ]
    assert streams[0].digest() == streams[1].digest()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "min_rating", "events"), [("ml-100k", 5, 21_201), ("ml-1m", 5, 226_310), ("ml-1m", 4, 575_281)]
)
def test_real_data_in_order(data_dir, name, min_rating, events):
    one = DatasetStream(DATASETS[name], data_dir / name, Cut(min_rating=min_rating))
    assert one.total_events == events
    times = one.block(0, events).event_time_ms
    assert (times[1:] >= times[:-1]).all()
