"""What a member says to its group."""

from __future__ import annotations

from kafka import TopicPartition

from eventlog.kafka_membership import _assignor_of


def test_a_member_claims_only_what_it_has() -> None:
    """One that was taken for dead would else claim what it lost, and the leader would leave that to nobody."""
    had = [TopicPartition("ratings", partition) for partition in range(4)]
    have = set(had)
    assignor = _assignor_of(lambda: have)()
    assignor.member_assignment = list(had)

    def claimed() -> list[int]:
        [*topics] = assignor.metadata(["ratings"]).owned_partitions
        return sorted(partition for topic in topics for partition in topic.partitions)

    assert claimed() == [0, 1, 2, 3]
    have.clear()  # as after a lost membership
    assert claimed() == []
