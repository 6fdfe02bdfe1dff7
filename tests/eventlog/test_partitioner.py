"""Users go where any Kafka client would send them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2

from eventlog.partitioner import partition_of, partitions_of

pytestmark = pytest.mark.oracle

# Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest.testMurmur2).
KAFKA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}

users = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


def test_kafkas_own_vectors():
    for key, murmur in KAFKA_MURMUR2.items():
        for partitions in (2, 7, 1000):
            assert partition_of(key.decode(), partitions) == (murmur & 0x7FFFFFFF) % partitions


@given(st.lists(users, min_size=1, max_size=30), st.integers(1, 100))
def test_columns_agree_with_the_kafka_client(ids, partitions):
    encoded = [user.encode() for user in ids]
    found = partitions_of(np.array(encoded), partitions)
    assert found.dtype == np.int32
    expected = [(murmur2(key) & 0x7FFFFFFF) % partitions for key in encoded]
    assert found.tolist() == expected
    assert [partition_of(user, partitions) for user in ids] == expected


def test_width_and_stride_do_not_matter():
    narrow = np.array([b"1", b"22", b"333"])
    wide = narrow.astype("S256")
    every_other = np.repeat(wide, 2)[::2]
    assert partitions_of(narrow, 16).tolist() == partitions_of(wide, 16).tolist()
    assert partitions_of(narrow, 16).tolist() == partitions_of(every_other, 16).tolist()
    assert partitions_of(narrow[:0], 16).tolist() == []
