"""Calls of the model, one at a time: the executors do their work when a test says so."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.colours import ColourModel, decode_colour, picture
from tests.support.executors import Held, Inline
from tests.support.flow import Ticks
from tests.support.frames import a_record
from worker import wire
from worker.domain.batches import Batch, ClosedBy
from worker.domain.errors import ModelContractBroken, TooManyRejected
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.records import TopicPartition
from worker.domain.results import Classification, DeadLetter, Prediction
from worker.domain.samples import Sample
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows
from worker.ports import Decode
from worker.sampling.every_frame import EveryFrame
from worker.stream.batcher import WindowBatcher
from worker.stream.model_calls import CALLS, Finished, ModelCalls
from worker.stream.partition import Partition
from worker.stream.pipeline import Pipeline


class Counted:
    """Implements `ports.Decode`, and keeps the offsets of what it has decoded."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def __call__(self, frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
        self.offsets.append(frame.frame.position.offset)
        return decode_colour(frame, out)


def make_calls(
    model: ColourModel,
    inference: Held | Inline,
    *,
    max_call: int = 4,
    decoders: Held | Inline | None = None,
    decode: Decode = decode_colour,
) -> ModelCalls:
    return ModelCalls(
        Pipeline(decode=decode, model=model),
        decoders=decoders,
        inference=inference,
        max_call=max_call,
        max_failed_share=0.5,
        monotonic=Ticks().monotonic,
    )


def a_partition(number: int = 0) -> Partition:
    """Return a new assignment of a partition."""
    batcher = WindowBatcher(TumblingWindows(1_000), lateness=0)
    return Partition(TopicPartition("frames", number), sampler=EveryFrame(), policy=None, windows=batcher, states=[])


class Own(NamedTuple):
    """A batch and its partition."""

    partition: Partition
    batch: Batch

    @property
    def samples(self) -> tuple[Sample, ...]:
        return self.batch.samples

    def having(self, *samples: Sample) -> "Own":
        return self._replace(batch=replace(self.batch, samples=samples))


def a_batch(*offsets: int, partition: Partition | None = None, value: bytes | None = None) -> Own:
    partition = partition or a_partition()
    number = partition.name.partition
    records = [a_record(each, partition=number, value=value or picture("red")) for each in offsets]
    frames = [wire.parse_frame(each, arrived_at=EventMillis(0), arrived=Monotonic(0)) for each in records]
    samples = tuple(Sample((each,), (each,)) for each in frames)
    return Own(partition, Batch(TumblingWindows(1_000).of(EventMillis(0)), samples, ClosedBy.SIZE, late=False))


def submit(calls: ModelCalls, *owned: Own) -> None:
    """Hand batches over, and begin what there is room for."""
    for each in owned:
        calls.submit(each.partition, each.batch)
    calls.begin()


def decoded_early(calls: ModelCalls, batch: Own, count: int | None = None) -> Own:
    """Begin to decode the first samples of a batch, all by default."""
    samples = batch.samples
    return batch.having(*(calls.decode_early(each) for each in samples[:count]), *samples[len(samples[:count]) :])


def forget(calls: ModelCalls, partition: Partition) -> None:
    """Let a partition go, as the loop does."""
    partition.current = False
    calls.forget(partition)


def collect(calls: ModelCalls) -> Finished | None:
    """Take in the oldest call, if it is over, and begin what there is room for then."""
    finished = calls.collect()
    calls.begin()
    return finished


def places(finished: Finished | None) -> Sequence[tuple[int, int]]:
    assert finished is not None
    return [(each.position.partition.partition, each.position.offset) for _, each in finished.outcomes]


def test_a_call_comes_back_when_it_is_over() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference)
    submit(calls, a_batch(0, 1))
    assert calls.collect() is None
    assert calls.busy_since is not None

    inference.do()
    assert places(calls.collect()) == [(0, 0), (0, 1)]
    assert calls.collect(wait=True) is None
    assert calls.busy_since is None


def test_a_prediction_keeps_no_picture_in_memory() -> None:
    calls = make_calls(ColourModel(), Inline())
    submit(calls, a_batch(0, value=picture("red")), a_batch(1, value=b"no picture"))
    finished = calls.collect()

    assert finished is not None
    kept = {each.position.offset: pickle.dumps(each) for _, each in finished.outcomes}
    assert picture("red") not in kept[0]
    assert b"no picture" in kept[1], "a dead letter returns it"


def test_batches_that_wait_for_a_thread_share_the_next_call() -> None:
    model, inference = ColourModel(), Held()
    calls = make_calls(model, inference)
    for offset in range(4):
        submit(calls, a_batch(offset))
    assert len(inference) == 1

    inference.do()
    assert places(collect(calls)) == [(0, 0)]
    inference.do()
    assert places(collect(calls)) == [(0, 1), (0, 2), (0, 3)]
    assert model.calls == [1, 3]


def test_every_free_thread_takes_a_call_and_one_that_is_done_is_free() -> None:
    inference = Held()
    calls = make_calls(ColourModel(streams=2), inference)
    for offset in range(3):
        submit(calls, a_batch(offset))
    assert len(inference) == 2

    inference.do()
    calls.begin()
    assert len(inference) == 2


def test_full_calls_are_begun_ahead_of_a_free_thread() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference, max_call=2)
    submit(calls, a_batch(*range(2 * CALLS + 3)))
    assert len(inference) == CALLS


def test_a_call_has_room_once_frames_have_waited_for_a_thread_and_there_is_one() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference, max_call=3)
    has_room = [calls.has_room_for_more]
    for offset in range(2):
        submit(calls, a_batch(offset))
        has_room.append(calls.has_room_for_more)
    inference.do()
    has_room.append(calls.has_room_for_more)
    calls.begin()
    has_room.append(calls.has_room_for_more)
    assert has_room == [False, False, False, True, False]


def test_a_lane_in_which_a_whole_call_waits_is_backlogged() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference, max_call=2)
    backlogged = list[bool]()
    for offset in range(0, 2 * CALLS + 2, 2):
        submit(calls, a_batch(offset, offset + 1))
        backlogged.append(calls.backlogged)
    inference.do()
    calls.collect()
    backlogged.append(calls.backlogged)
    assert backlogged == [False] * CALLS + [True, False]


def test_a_call_is_no_larger_than_it_may_be_and_that_is_no_shortage_of_memory() -> None:
    model, inference = ColourModel(), Held()
    calls = make_calls(model, inference)
    calls.max_call = 2
    submit(calls, a_batch(*range(2 * CALLS + 3)))
    assert (calls.call_size, calls.backlogged) == (2, True)

    while calls.busy_since is not None:
        inference.do()
        collect(calls)
    assert model.calls == [2] * CALLS + [2, 1]
    calls.max_call = 4
    assert calls.call_size == 4


def test_nothing_comes_of_a_partition_that_went_though_it_came_back() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference)
    here, there = a_partition(0), a_partition(1)
    submit(calls, a_batch(0, 1, partition=here), a_batch(0, partition=there))
    forget(calls, here)
    submit(calls, a_batch(1, 2))  # it is assigned again, and read again from where it was committed

    inference.do()
    assert places(collect(calls)) == [(1, 0)]
    inference.do()
    assert places(collect(calls)) == [(0, 1), (0, 2)]


def test_what_waited_of_a_partition_that_went_is_never_begun() -> None:
    model, inference = ColourModel(), Held()
    calls = make_calls(model, inference, max_call=1)
    here, there = a_partition(0), a_partition(1)
    submit(calls, *(a_batch(offset, partition=here) for offset in range(CALLS)))
    submit(calls, a_batch(7, partition=here), a_batch(7, partition=there))
    forget(calls, here)

    found = list[tuple[int, int]]()
    while calls.busy_since is not None:
        inference.do()
        found += places(collect(calls))
    assert found == [(1, 7)]


def test_a_bad_picture_is_a_dead_letter_and_its_neighbours_are_classified() -> None:
    model = ColourModel()
    calls = make_calls(model, Inline())
    bad, good = a_batch(0, value=b"no picture"), a_batch(1, 2)
    submit(calls, good.having(*bad.samples, *good.samples))
    finished = calls.collect()
    assert finished is not None
    assert [type(each) for _, each in finished.outcomes] == [DeadLetter, Prediction, Prediction]
    assert model.calls == [2]
    assert [stage for stage, _ in finished.seconds] == ["gather", "decode", "classify", "score"]


def test_a_call_comes_back_once_all_its_parts_are_done_and_in_order() -> None:
    model, inference = ColourModel(largest=2), Held()
    calls = make_calls(model, inference, max_call=5)
    submit(calls, a_batch(0, 1, 2), a_batch(3, 4))
    assert len(inference) == 3
    for _ in range(2):
        inference.do()
        assert calls.collect() is None

    inference.do()
    finished = calls.collect()
    assert places(finished) == [(0, offset) for offset in range(5)]
    assert finished is not None
    assert finished.answered == [2, 2, 1]
    assert finished.took > 0
    assert [stage for stage, _ in finished.seconds] == ["gather"] * 2 + ["decode", "classify", "score"] * 3


def test_a_bad_picture_spoils_no_other_part() -> None:
    model = ColourModel(largest=2, breaks_on="black")
    calls = make_calls(model, Inline(), max_call=6)
    black = a_batch(4, value=picture("black"))
    junk = a_batch(2, value=b"no picture")
    good = a_batch(0, 1, 3, 5)
    frames = sorted(good.samples + black.samples + junk.samples, key=lambda sample: sample.newest.frame.position.offset)
    submit(calls, good.having(*frames))
    finished = calls.collect()

    assert finished is not None
    letters = {each.position.offset for _, each in finished.outcomes if isinstance(each, DeadLetter)}
    assert letters == {2, 4}
    assert sorted(offset for _, offset in places(finished)) == list(range(6))
    assert (finished.answered, finished.failed) == ([2, 1, 1], 1)


@pytest.mark.parametrize("frames", [1, 4, 9, 40])
def test_decoders_work_ahead_of_the_model(frames: int) -> None:
    model, decoders, inference = ColourModel(), Held(), Held()
    calls = make_calls(model, inference, max_call=frames, decoders=decoders)
    submit(calls, a_batch(*range(frames)))
    assert len(decoders) >= min(frames, 4)
    assert len(inference) == 1

    decoders.do(frames)
    assert model.calls == []
    inference.do()
    assert places(calls.collect()) == [(0, offset) for offset in range(frames)]
    assert model.calls == [frames]


def test_a_call_in_which_every_picture_is_bad_does_not_bother_the_model() -> None:
    model = ColourModel()
    calls = make_calls(model, Inline())
    submit(calls, a_batch(0, value=b"no picture"))
    assert places(calls.collect()) == [(0, 0)]
    assert sum(model.calls) == 0


def test_what_ends_a_call_is_raised_where_it_is_collected() -> None:
    calls = make_calls(ColourModel(fail_on_call=0), Inline())
    submit(calls, a_batch(0))
    with pytest.raises(ModelContractBroken, match="told to fail"):
        calls.collect()


def test_short_memory_makes_the_next_calls_smaller() -> None:
    model = ColourModel(room=2)
    calls = make_calls(model, Inline())
    submit(calls, a_batch(0, 1, 2, 3))
    calls.collect()
    assert calls.call_size == 2
    submit(calls, a_batch(4, 5), a_batch(6, 7))
    assert model.calls[-2:] == [2, 2]


def test_a_model_that_fails_on_most_frames_is_broken() -> None:
    calls = make_calls(ColourModel(breaks_on="red"), Inline())
    submit(calls, *(a_batch(*range(start, start + 4)) for start in range(0, 200, 4)))
    with pytest.raises(TooManyRejected):
        list(iter(calls.collect, None))


def test_what_a_call_takes_has_decoding_in_it_where_the_model_s_threads_do_that() -> None:
    took = {}
    for name, decoders in (("itself", None), ("ahead", Inline())):
        calls = make_calls(ColourModel(), Inline(), decoders=decoders)
        submit(calls, a_batch(0, 1))
        finished = calls.collect()
        assert finished is not None
        took[name] = finished.took
        ((_, one), _) = finished.outcomes
        assert isinstance(one, Prediction)
        assert one.took == pytest.approx(finished.took)
    # The clock moves a little whenever it is read, and once more while a thread of the model decodes.
    assert took["itself"] == pytest.approx(took["ahead"] + 0.001)


@pytest.mark.parametrize("decoders", [None, Held()], ids=["by the model's threads", "by decoders"])
def test_a_frame_is_decoded_before_its_batch_is_closed(decoders: Held | None) -> None:
    decode, model, inference = Counted(), ColourModel(), Held()
    calls = make_calls(model, inference, decoders=decoders, decode=decode)
    batch = decoded_early(calls, a_batch(0, 1, 2), 2)
    (decoders or inference).do(2)
    assert decode.offsets == [0, 1]

    submit(calls, batch)
    finished = calls.collect(wait=True)
    assert places(finished) == [(0, 0), (0, 1), (0, 2)]
    assert finished is not None
    results = [each.result for _, each in finished.outcomes if isinstance(each, Prediction)]
    assert [each.classes[0].name for each in results if isinstance(each, Classification)] == ["red"] * 3
    assert decode.offsets == [0, 1, 2]
    assert model.calls == [3]


def test_what_was_decoded_early_is_in_what_the_call_takes() -> None:
    took = []
    for early in (False, True):
        calls, batch = make_calls(ColourModel(), Inline()), a_batch(0, 1)
        submit(calls, decoded_early(calls, batch) if early else batch)
        finished = calls.collect()
        assert finished is not None
        took.append(finished.took)
    # The clock moves a little whenever it is read: twice for each frame, where each is decoded by itself.
    assert took[1] == pytest.approx(took[0] + 2 * 0.001)


def test_a_bad_picture_that_came_early_is_a_dead_letter() -> None:
    model = ColourModel()
    calls = make_calls(model, Inline())
    bad, good = a_batch(0, value=b"no picture"), a_batch(1)
    submit(calls, decoded_early(calls, bad), decoded_early(calls, good))
    finished = calls.collect()
    assert finished is not None
    found = [(type(each), each.position.offset) for _, each in finished.outcomes]
    assert found == [(DeadLetter, 0), (Prediction, 1)]
    assert sum(model.calls) == 1


def test_no_frame_is_decoded_early_while_calls_wait_for_the_model() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference)
    submit(calls, a_batch(*range(4 * CALLS)))
    calls.decode_early(a_batch(100).samples[0])
    assert len(inference) == CALLS


def test_no_more_frames_are_decoded_early_than_a_call_takes() -> None:
    inference = Held()
    calls = make_calls(ColourModel(), inference, max_call=2)
    decoded_early(calls, a_batch(0, 1, 2))
    assert len(inference) == 2


def test_a_frame_that_comes_again_with_its_partition_is_decoded_again() -> None:
    decode = Counted()
    calls = make_calls(ColourModel(), Inline(), decode=decode)
    gone = a_partition(0)
    decoded_early(calls, a_batch(0, partition=gone))
    there = decoded_early(calls, a_batch(0, partition=a_partition(1)))
    forget(calls, gone)
    submit(calls, a_batch(0), there)
    assert decode.offsets == [0, 0, 0]
