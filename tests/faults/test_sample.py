"""A seeded sample of every fault; `make test-faults` tries many more, and `-m full` some.

The verdict of each is that of `chaos.verdict`, an independent reader, and its digests must be those of an undisturbed
run where that is promised.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.campaign import Campaign, is_green
from chaos.fault import Fault
from tests.faults.registry import ALL

EMBEDDED = [fault for fault in ALL if "embedded" in fault.logs]
KAFKA = [fault for fault in ALL if "kafka" in fault.logs]
# On Kafka a try takes seconds.
SAMPLED_ON_KAFKA = (
    "learner killed (SIGKILL)",
    "all of them killed, side by side",
    "all of these",
    "topic made anew, with events",
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    campaign = Campaign("embedded", None, module="tests.faults.trainer_victim")
    yield campaign
    campaign.close()


@pytest.fixture(scope="module")
def kafka(kafka_bootstrap: str) -> Iterator[Campaign]:
    campaign = Campaign(f"kafka:{kafka_bootstrap}", None, module="tests.faults.trainer_victim")
    yield campaign
    campaign.close()


def holds(campaign: Campaign, fault: Fault, tries: int) -> None:
    lines = campaign.run([fault], tries)
    assert is_green(lines), [line for line in lines if line.held < line.tries]
    assert sum(line.tries for line in lines) >= 1


@pytest.mark.parametrize("fault", EMBEDDED, ids=lambda fault: fault.name)
def test_what_is_promised_under_a_fault_holds_on_the_embedded_log(embedded: Campaign, fault: Fault) -> None:
    holds(embedded, fault, 1)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "fault", [fault for fault in KAFKA if fault.name in SAMPLED_ON_KAFKA], ids=lambda fault: fault.name
)
def test_what_is_promised_under_a_fault_holds_on_kafka(kafka: Campaign, fault: Fault) -> None:
    holds(kafka, fault, 1)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", EMBEDDED, ids=lambda fault: fault.name)
def test_many_tries_hold_on_the_embedded_log(embedded: Campaign, fault: Fault) -> None:
    holds(embedded, fault, 20)


@pytest.mark.full
@pytest.mark.kafka
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", KAFKA, ids=lambda fault: fault.name)
def test_many_tries_hold_on_kafka(kafka: Campaign, fault: Fault) -> None:
    holds(kafka, fault, 4)
