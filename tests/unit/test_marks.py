"""Checkpoints there and back, as the metadata of a committed offset."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain import checkpoints
from worker.domain.checkpoints import SPAN, Checkpoint

TOPIC_ID = "NCHpi2yKR4aPQtelZrZ7yw"
METADATA_MAX = 4_096
"""Kafka's default of `offset.metadata.max.bytes`."""


@given(st.integers(0, 2**62), st.sets(st.integers(0, SPAN - 1), max_size=60), st.none() | st.just(TOPIC_ID))
def test_a_checkpoint_comes_back_as_it_was(next_offset: int, beyond: set[int], topic_id: str | None) -> None:
    checkpoint = Checkpoint(next_offset, frozenset(next_offset + each for each in beyond), topic_id)

    assert Checkpoint.read(next_offset, checkpoint.metadata()) == checkpoint


@pytest.mark.parametrize("step", [1, 2, SPAN - 1])
def test_the_largest_mark_is_one_that_brokers_take(step: int) -> None:
    checkpoint = Checkpoint(7, frozenset(range(7, 7 + SPAN, step)), TOPIC_ID)

    assert len(checkpoint.metadata()) <= METADATA_MAX
    assert Checkpoint.read(7, checkpoint.metadata()) == checkpoint


def test_nothing_beyond_needs_no_mark() -> None:
    assert Checkpoint(7).metadata() == ""


@pytest.mark.parametrize("metadata", [None, "", "of some other program", "published:1:no base64!", "published:2:BQ=="])
def test_what_is_no_mark_of_ours_says_nothing(metadata: str | None) -> None:
    assert Checkpoint.read(7, metadata) == Checkpoint(7)


def test_the_examples_hold() -> None:
    assert doctest.testmod(checkpoints).attempted
    assert doctest.testmod(checkpoints).failed == 0
