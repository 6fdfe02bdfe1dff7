"""The contract of the log, over both implementations: partitions paused and resumed."""

from __future__ import annotations

import numpy as np


def test_paused_partitions_are_left_out_and_lose_nothing(under_test):
    topic = under_test.topic("t", 2)
    under_test.append(topic, 0, *(b"a%d" % i for i in range(600)))
    under_test.append(topic, 1, *(b"b%d" % i for i in range(600)))
    found: dict[int, list[bytes | None]] = {0: [], 1: []}
    with under_test.log.reader(topic, [0, 1]) as reader:
        for batch in reader.poll(10, 10.0):
            found[batch.partition] += batch.values
        reader.pause([1])
        while len(found[0]) < 600:
            for batch in reader.poll(100, 10.0):
                assert batch.partition == 0
                found[0] += batch.values
        assert reader.poll(100, 0.05) == []
        assert reader.position(1) == len(found[1])
        reader.resume([1])
        reader.pause([0])
        while len(found[1]) < 600:
            for batch in reader.poll(100, 10.0):
                assert batch.partition == 1
                found[1] += batch.values
    assert found == {0: [b"a%d" % i for i in range(600)], 1: [b"b%d" % i for i in range(600)]}


def test_partitions_paused_with_fetched_records_go_on_when_resumed(under_test):
    """What a client had fetched of a partition when it was paused must not be left behind for ever."""
    partitions, each = range(4), 3_000
    topic = under_test.topic("t", len(partitions))
    for partition in partitions:
        under_test.append(topic, partition, *(b"%d" % i for i in range(each)))
    found: dict[int, list[bytes | None]] = {partition: [] for partition in partitions}
    rng = np.random.default_rng(5)
    idle = 0
    with under_test.log.reader(topic, partitions) as reader:
        while sum(map(len, found.values())) < len(partitions) * each and idle < 20:
            open_ones = [p for p in partitions if len(found[p]) < each]
            paused = {p for p in open_ones[1:] if rng.random() < 0.5}
            reader.pause(paused)
            reader.resume(set(partitions) - paused)
            batches = reader.poll(int(rng.integers(1, 800)), 0.5)
            idle = 0 if batches else idle + 1
            for batch in batches:
                assert batch.partition not in paused
                found[batch.partition] += batch.values
    assert found == {partition: [b"%d" % i for i in range(each)] for partition in partitions}
