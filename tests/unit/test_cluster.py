"""Settings in, librdkafka's options out."""

import pytest

from worker.app.cluster import member_options
from worker.settings import Kafka, Limits

KAFKA = Kafka(bootstrap_servers="kafka:9092")


@pytest.mark.parametrize(("target", "wait"), [(10, 1), (100, 10), (500, 20)])
def test_under_a_target_brokers_wait_for_some_frames_within_a_tenth_of_it(target: int, wait: int) -> None:
    assert member_options(KAFKA, Limits(), target)["fetch.wait.max.ms"] == wait


def test_without_a_target_they_answer_at_once() -> None:
    assert "fetch.min.bytes" not in member_options(KAFKA, Limits(), None)


def test_what_is_set_for_all_clients_is_kept() -> None:
    options = member_options(Kafka(bootstrap_servers="kafka:9092", options={"fetch.wait.max.ms": 5}), Limits(), 100)

    assert options["fetch.wait.max.ms"] == 5


def test_what_is_prefetched_and_one_answer_are_half_of_the_memory() -> None:
    options = member_options(KAFKA, Limits(memory="64MiB"), None)

    assert int(options["queued.max.messages.kbytes"]) * 2**10 + int(options["fetch.max.bytes"]) == 2**25
