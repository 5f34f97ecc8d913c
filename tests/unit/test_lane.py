"""The lane, one call at a time: the executors do their work when a test says so."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.colours import ColourModel, decode_colour, picture
from tests.support.executors import Held, Inline
from tests.support.flow import TOPICS, Ticks
from tests.support.frames import a_record
from worker import wire
from worker.domain.batches import ClosedBy, FrameBatch
from worker.domain.errors import ModelContractBroken, TooManyRejected
from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.results import DeadLetter, Prediction
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows
from worker.ports import Decode
from worker.stream.model_calls import CALLS, Finished, Lane
from worker.stream.pipeline import Pipeline

HERE, THERE = TopicPartition("frames", 0), TopicPartition("frames", 1)


class Counted:
    """Implements `ports.Decode`, and keeps the offsets of what it has decoded."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def __call__(self, frame: EncodedFrame, out: NDArray[np.uint8]) -> None:
        self.offsets.append(frame.position.offset)
        decode_colour(frame, out)


def a_lane(
    model: ColourModel,
    inference: Held | Inline,
    *,
    max_batch: int = 4,
    decoders: Held | Inline | None = None,
    decode: Decode = decode_colour,
) -> Lane:
    pipeline = Pipeline(decode=decode, model=model, top_k=3, topics=TOPICS, worker_version="0")
    return Lane(
        pipeline,
        decoders=decoders,
        inference=inference,
        max_batch=max_batch,
        max_failed_share=0.5,
        monotonic=Ticks().monotonic,
    )


def a_batch(*offsets: int, partition: TopicPartition = HERE, value: bytes | None = None) -> FrameBatch:
    records = [a_record(each, partition=partition.partition, value=value or picture("red")) for each in offsets]
    frames = [wire.parse_frame(each, arrived_at=EventMillis(0), arrived=Monotonic(0)) for each in records]
    return FrameBatch(partition, TumblingWindows(1_000).of(EventMillis(0)), tuple(frames), ClosedBy.SIZE, late=False)


def collect(lane: Lane) -> Finished | None:
    """Take in the oldest call, if it is over, and begin what there is room for then."""
    finished = lane.collect()
    lane.add([])
    return finished


def places(finished: Finished | None) -> Sequence[tuple[int, int]]:
    assert finished is not None
    return [(each.position.partition.partition, each.position.offset) for each in finished.outcomes]


def test_a_call_comes_back_when_it_is_over() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference)
    lane.add([a_batch(0, 1)])
    assert lane.collect() is None
    assert lane.busy_since is not None

    inference.do()
    assert places(lane.collect()) == [(0, 0), (0, 1)]
    assert lane.collect(wait=True) is None
    assert lane.busy_since is None


def test_batches_that_wait_for_a_thread_share_the_next_call() -> None:
    model, inference = ColourModel(), Held()
    lane = a_lane(model, inference)
    for offset in range(4):
        lane.add([a_batch(offset)])
    assert len(inference) == 1

    inference.do()
    assert places(collect(lane)) == [(0, 0)]
    inference.do()
    assert places(collect(lane)) == [(0, 1), (0, 2), (0, 3)]
    assert model.calls == [1, 3]


def test_every_free_thread_takes_a_call_and_one_that_is_done_is_free() -> None:
    inference = Held()
    lane = a_lane(ColourModel(streams=2), inference)
    for offset in range(3):
        lane.add([a_batch(offset)])
    assert len(inference) == 2

    inference.do()
    lane.add([])
    assert len(inference) == 2


def test_full_calls_are_begun_ahead_of_a_free_thread() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference, max_batch=2)
    lane.add([a_batch(*range(2 * CALLS + 3))])
    assert len(inference) == CALLS


def test_a_call_takes_more_once_frames_have_waited_for_a_thread_and_there_is_one() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference, max_batch=3)
    takes_more = [lane.takes_more]
    for offset in range(2):
        lane.add([a_batch(offset)])
        takes_more.append(lane.takes_more)
    inference.do()
    takes_more.append(lane.takes_more)
    lane.add([])
    takes_more.append(lane.takes_more)
    assert takes_more == [False, False, False, True, False]


def test_a_lane_in_which_a_whole_call_waits_is_crowded() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference, max_batch=2)
    crowded = list[bool]()
    for offset in range(0, 2 * CALLS + 2, 2):
        lane.add([a_batch(offset, offset + 1)])
        crowded.append(lane.crowded)
    inference.do()
    lane.collect()
    crowded.append(lane.crowded)
    assert crowded == [False] * CALLS + [True, False]


def test_a_call_is_no_larger_than_it_may_be_and_that_is_no_shortage_of_memory() -> None:
    model, inference = ColourModel(), Held()
    lane = a_lane(model, inference)
    lane.most = 2
    lane.add([a_batch(*range(2 * CALLS + 3))])
    assert (lane.call_size, lane.crowded) == (2, True)

    while lane.busy_since is not None:
        inference.do()
        collect(lane)
    assert model.calls == [2] * CALLS + [2, 1]
    lane.most = 4
    assert lane.call_size == 4


def test_nothing_comes_of_a_partition_that_went_though_it_came_back() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference)
    lane.add([a_batch(0, 1), a_batch(0, partition=THERE)])
    lane.forget(HERE)
    lane.add([a_batch(1, 2)])  # it is ours again, and read again from where it was committed

    inference.do()
    assert places(collect(lane)) == [(1, 0)]
    inference.do()
    assert places(collect(lane)) == [(0, 1), (0, 2)]


def test_what_waited_of_a_partition_that_went_is_never_begun() -> None:
    model, inference = ColourModel(), Held()
    lane = a_lane(model, inference, max_batch=1)
    lane.add([a_batch(offset) for offset in range(CALLS)])
    lane.add([a_batch(7), a_batch(7, partition=THERE)])
    lane.forget(HERE)

    found = list[tuple[int, int]]()
    while lane.busy_since is not None:
        inference.do()
        found += places(collect(lane))
    assert found == [(1, 7)]


def test_a_bad_picture_is_a_dead_letter_and_its_neighbours_are_classified() -> None:
    model = ColourModel()
    lane = a_lane(model, Inline())
    bad, good = a_batch(0, value=b"no picture"), a_batch(1, 2)
    lane.add([FrameBatch(HERE, good.window, bad.frames + good.frames, ClosedBy.SIZE, late=False)])
    finished = lane.collect()
    assert finished is not None
    assert [type(each) for each in finished.outcomes] == [DeadLetter, Prediction, Prediction]
    assert model.calls == [2]
    assert [stage for stage, _ in finished.seconds] == ["gather", "decode", "classify", "score"]


def test_a_call_comes_back_once_all_its_parts_are_done_and_in_order() -> None:
    model, inference = ColourModel(largest=2), Held()
    lane = a_lane(model, inference, max_batch=5)
    lane.add([a_batch(0, 1, 2), a_batch(3, 4)])
    assert len(inference) == 3
    for _ in range(2):
        inference.do()
        assert lane.collect() is None

    inference.do()
    finished = lane.collect()
    assert places(finished) == [(0, offset) for offset in range(5)]
    assert finished is not None
    assert finished.answered == [2, 2, 1]
    assert finished.took > 0
    assert [stage for stage, _ in finished.seconds] == ["gather"] * 2 + ["decode", "classify", "score"] * 3


def test_a_bad_picture_spoils_no_other_part() -> None:
    model = ColourModel(largest=2, breaks_on="black")
    lane = a_lane(model, Inline(), max_batch=6)
    black = a_batch(4, value=picture("black"))
    junk = a_batch(2, value=b"no picture")
    good = a_batch(0, 1, 3, 5)
    frames = sorted(good.frames + black.frames + junk.frames, key=lambda frame: frame.position.offset)
    lane.add([FrameBatch(HERE, good.window, tuple(frames), ClosedBy.SIZE, late=False)])
    finished = lane.collect()

    assert finished is not None
    letters = {each.position.offset for each in finished.outcomes if isinstance(each, DeadLetter)}
    assert letters == {2, 4}
    assert sorted(offset for _, offset in places(finished)) == list(range(6))
    assert (finished.answered, finished.failed) == ([2, 1, 1], 1)


@pytest.mark.parametrize("frames", [1, 4, 9, 40])
def test_decoders_work_ahead_of_the_model(frames: int) -> None:
    model, decoders, inference = ColourModel(), Held(), Held()
    lane = a_lane(model, inference, max_batch=frames, decoders=decoders)
    lane.add([a_batch(*range(frames))])
    assert len(decoders) >= min(frames, 4)
    assert len(inference) == 1

    decoders.do(frames)
    assert model.calls == []
    inference.do()
    assert places(lane.collect()) == [(0, offset) for offset in range(frames)]
    assert model.calls == [frames]


def test_a_call_in_which_every_picture_is_bad_does_not_bother_the_model() -> None:
    model = ColourModel()
    lane = a_lane(model, Inline())
    lane.add([a_batch(0, value=b"no picture")])
    assert places(lane.collect()) == [(0, 0)]
    assert sum(model.calls) == 0


def test_what_ends_a_call_is_raised_where_it_is_collected() -> None:
    lane = a_lane(ColourModel(fail_on_call=0), Inline())
    lane.add([a_batch(0)])
    with pytest.raises(ModelContractBroken, match="told to fail"):
        lane.collect()


def test_short_memory_makes_the_next_calls_smaller() -> None:
    model = ColourModel(room=2)
    lane = a_lane(model, Inline())
    lane.add([a_batch(0, 1, 2, 3)])
    lane.collect()
    assert lane.call_size == 2
    lane.add([a_batch(4, 5), a_batch(6, 7)])
    assert model.calls[-2:] == [2, 2]


def test_a_model_that_fails_on_most_frames_is_broken() -> None:
    lane = a_lane(ColourModel(breaks_on="red"), Inline())
    lane.add([a_batch(*range(start, start + 4)) for start in range(0, 200, 4)])
    with pytest.raises(TooManyRejected):
        list(iter(lane.collect, None))


def test_what_a_call_takes_has_decoding_in_it_where_the_model_s_threads_do_that() -> None:
    took = {}
    for name, decoders in (("itself", None), ("ahead", Inline())):
        lane = a_lane(ColourModel(), Inline(), decoders=decoders)
        lane.add([a_batch(0, 1)])
        finished = lane.collect()
        assert finished is not None
        took[name] = finished.took
        (one, _) = finished.outcomes
        assert isinstance(one, Prediction)
        assert one.took == pytest.approx(finished.took)
    # The clock moves a little whenever it is read, and once more while a thread of the model decodes.
    assert took["itself"] == pytest.approx(took["ahead"] + 0.001)


@pytest.mark.parametrize("decoders", [None, Held()], ids=["by the model's threads", "by decoders"])
def test_a_frame_is_decoded_before_its_batch_is_closed(decoders: Held | None) -> None:
    decode, model, inference = Counted(), ColourModel(), Held()
    lane = a_lane(model, inference, decoders=decoders, decode=decode)
    batch = a_batch(0, 1, 2)
    for frame in batch.frames[:2]:
        lane.expect(frame)
    (decoders or inference).do(2)
    assert decode.offsets == [0, 1]

    lane.add([batch])
    finished = lane.collect(wait=True)
    assert places(finished) == [(0, 0), (0, 1), (0, 2)]
    assert finished is not None
    predictions = [each for each in finished.outcomes if isinstance(each, Prediction)]
    assert [each.classes[0].name for each in predictions] == ["red"] * 3
    assert decode.offsets == [0, 1, 2]
    assert model.calls == [3]


def test_what_was_decoded_early_is_in_what_the_call_takes() -> None:
    took = []
    for early in (False, True):
        lane, batch = a_lane(ColourModel(), Inline()), a_batch(0, 1)
        for frame in batch.frames if early else ():
            lane.expect(frame)
        lane.add([batch])
        finished = lane.collect()
        assert finished is not None
        took.append(finished.took)
    # The clock moves a little whenever it is read: twice for each frame, where each is decoded by itself.
    assert took[1] == pytest.approx(took[0] + 2 * 0.001)


def test_a_bad_picture_that_came_early_is_a_dead_letter() -> None:
    model = ColourModel()
    lane = a_lane(model, Inline())
    bad, good = a_batch(0, value=b"no picture"), a_batch(1)
    for frame in (*bad.frames, *good.frames):
        lane.expect(frame)
    lane.add([bad, good])
    finished = lane.collect()
    assert finished is not None
    found = [(type(each), each.position.offset) for each in finished.outcomes]
    assert found == [(DeadLetter, 0), (Prediction, 1)]
    assert sum(model.calls) == 1


def test_no_frame_is_decoded_early_while_calls_wait_for_the_model() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference)
    lane.add([a_batch(*range(4 * CALLS))])
    lane.expect(a_batch(100).frames[0])
    assert len(inference) == CALLS


def test_no_more_frames_are_decoded_early_than_a_call_takes() -> None:
    inference = Held()
    lane = a_lane(ColourModel(), inference, max_batch=2)
    for frame in a_batch(0, 1, 2).frames:
        lane.expect(frame)
    assert len(inference) == 2


def test_a_frame_that_comes_again_with_its_partition_is_decoded_again() -> None:
    decode = Counted()
    lane = a_lane(ColourModel(), Inline(), decode=decode)
    here, there = a_batch(0), a_batch(0, partition=THERE)
    for frame in (*here.frames, *there.frames):
        lane.expect(frame)
    lane.forget(HERE)
    lane.add([here, there])
    assert decode.offsets == [0, 0, 0]
