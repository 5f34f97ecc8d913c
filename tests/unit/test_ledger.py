import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import FRAMES
from worker.domain.records import Position, TopicPartition
from worker.stream.ledger import OffsetLedger

OTHER = TopicPartition("frames", 1)


def at(offset: int, partition: TopicPartition = FRAMES) -> Position:
    return Position(partition, offset)


def a_ledger(*offsets: int) -> OffsetLedger[str]:
    ledger = OffsetLedger[str]()
    for offset in offsets:
        ledger.begin(at(offset), size=10)
    return ledger


def test_an_outcome_waits_for_every_earlier_frame() -> None:
    ledger = a_ledger(10, 11, 12)
    ledger.finish(at(11), "b")
    assert ledger.ready() == {}

    ledger.finish(at(10), "a")
    assert ledger.ready() == {FRAMES: ["a", "b"]}


def test_ready_outcomes_stay_until_they_are_settled() -> None:
    ledger = a_ledger(10, 11)
    ledger.finish(at(10), "a")

    assert ledger.ready() == ledger.ready() == {FRAMES: ["a"]}
    ledger.settle({FRAMES: at(10).next_offset})
    assert ledger.ready() == {}
    assert ledger.settled() == {FRAMES: 11}


def test_nothing_is_settled_before_the_first_confirmation() -> None:
    ledger = a_ledger(10)
    ledger.finish(at(10), "a")

    assert ledger.settled() == {}


def test_offsets_may_have_gaps_as_in_compacted_topics() -> None:
    ledger = a_ledger(3, 70, 71)
    for offset in (3, 70):
        ledger.finish(at(offset), str(offset))
    ledger.settle({FRAMES: 71})

    assert ledger.settled() == {FRAMES: 71}
    assert len(ledger) == 1


def test_reading_backwards_is_refused_in_flight_and_after_settling() -> None:
    ledger = a_ledger(10, 11)
    with pytest.raises(ValueError, match=r"frames\[0\]@11 was read again"):
        ledger.begin(at(11), size=1)

    for offset in (10, 11):
        ledger.finish(at(offset), "x")
    ledger.settle({FRAMES: 12})
    with pytest.raises(ValueError, match="below offset 12"):
        ledger.begin(at(11), size=1)


def test_a_forgotten_partition_may_be_read_from_an_earlier_offset_again() -> None:
    ledger = a_ledger(10, 11)
    ledger.forget(FRAMES)
    ledger.forget(OTHER)
    ledger.begin(at(10), size=10)

    assert (len(ledger), ledger.in_flight_bytes) == (1, 10)


def test_bytes_in_flight_are_those_of_frames_not_settled() -> None:
    ledger = a_ledger(10, 11, 12)
    assert ledger.in_flight_bytes == 30
    ledger.finish(at(10), "a")
    ledger.settle({FRAMES: 11})
    assert ledger.in_flight_bytes == 20


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 5))
def test_against_a_brute_force_set(gaps: list[int], order: random.Random, settle_every: int) -> None:
    offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    ledger, done, delivered = a_ledger(*offsets), set[int](), list[str]()
    shuffled = order.sample(offsets, len(offsets))
    for count, offset in enumerate(shuffled, start=1):
        ledger.finish(at(offset), str(offset))
        done.add(offset)
        prefix = [str(o) for index, o in enumerate(offsets) if set(offsets[: index + 1]) <= done]
        waiting = prefix[len(delivered) :]
        assert ledger.ready() == ({FRAMES: waiting} if waiting else {})
        assert ledger.has_ready() == bool(waiting)
        if count % settle_every == 0 and waiting:
            ledger.settle({FRAMES: int(waiting[-1]) + 1})
            delivered += waiting
            assert ledger.settled() == {FRAMES: int(delivered[-1]) + 1}

    remaining = ledger.ready().get(FRAMES, [])
    assert delivered + remaining == [str(offset) for offset in offsets]
