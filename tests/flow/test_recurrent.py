"""A recurrent model through the whole loop: with real weights against clips, and with faults of the brokers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.colours import picture
from tests.support.executors import Inline
from tests.support.flow import TOPICS, Flow, as_read
from tests.support.frames import a_record
from tests.support.pictures import PNG
from tests.support.recurrent import (
    NAMES,
    Rules,
    SequenceModel,
    moving_pictures,
    sequences_by_hand,
    write_recurrent_model,
)
from tests.support.recurrent import Seen as Frame
from worker import wire
from worker.adapters.memory import Event, MemorySink
from worker.app.recurrent import check_topics
from worker.app.workers import memory_worker
from worker.domain.errors import DeliveryFailed, SettingsError
from worker.domain.networks import Cell
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.models.build import load_model
from worker.ports import Saved
from worker.settings import Limits, ModelGroup, SamplingGroup, Topics, WindowGroup
from worker.settings.offline import Groups
from worker.stream.render import OutputTopics

FRAMES = 6
START = 1_700_000_000_400
"""Here begins a clip of `FRAMES` slots, 10 slots a second."""
CAMERAS = ("gate", "hall", "yard")
STATE = replace(TOPICS, state="state")
RULES = Rules()
PARTITION = TopicPartition("frames", 0)


# ----- real weights


@pytest.fixture(scope="module", params=["gru", "lstm"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, rnn = tmp_path_factory.mktemp("models"), request.param

    def find(task: str) -> Path:
        cell: Cell = rnn
        return write_recurrent_model(folder / task, task=task, rnn=cell, frames=FRAMES)

    return find


def shot(pictures: int, *, gap_after: int | None = None) -> list[Record]:
    """Three cameras in turn, 10 frames a second, each with the same motion shifted; one may be silent for a while."""
    return [
        a_record(
            len(CAMERAS) * number + place,
            key=camera.encode(),
            value=PNG(pixels),
            timestamp=START + 100 * number + 60_000 * (gap_after is not None and number >= gap_after),
        )
        for number in range(pictures)
        for place, (camera, pixels) in enumerate(
            (camera, moving_pictures(pictures, seed=each)[number]) for each, camera in enumerate(CAMERAS)
        )
    ]


def predictions(folder: Path, records: Sequence[Record], **sampling: float) -> list[wire.PredictionMessage]:
    """Run the whole worker over records, in polls that end anywhere."""
    found = list[OutboundRecord]()
    group = ModelGroup(path=folder, threads=1, profile="off", top_k=4)
    script: Iterator[Event] = (records[first : first + 7] for first in range(0, len(records), 7))
    with memory_worker(
        script,
        found.append,
        Inline(),
        loaded=load_model(group),
        groups=Groups(group, WindowGroup(max_frames=8), Limits(), SamplingGroup.model_validate(sampling)),
    ) as worker:
        worker.run()
    messages = [wire.decode_message(each.value or b"") for each in found if each.topic == Topics().predictions]
    return [each for each in messages if isinstance(each, wire.PredictionMessage)]


def probabilities(message: wire.PredictionMessage) -> list[float]:
    return [each.probability for each in sorted(message.classes, key=lambda each: each.index)]


def test_the_last_frame_of_a_clip_and_the_same_frame_of_a_stream_have_the_same_classes(
    models: Callable[[str], Path],
) -> None:
    records = shot(FRAMES)
    stream, clips = predictions(models("recurrent"), records), predictions(models("clip"), records)

    assert [each.steps for each in stream if isinstance(each, wire.RecurrentMessage)] == sorted(
        list(range(1, FRAMES + 1)) * len(CAMERAS)
    )
    assert len(clips) == len(CAMERAS)
    last = {each.frame.offset: probabilities(each) for each in stream}
    for clip in clips:
        np.testing.assert_allclose(last[clip.frame.offset], probabilities(clip), atol=1e-4)
    # Else all of this would be true of a model that says the same of everything.
    assert np.ptp([probabilities(each) for each in stream], axis=0).max() > 0.1
    first = {each.frame.camera: probabilities(each) for each in reversed(stream)}
    assert all(not np.allclose(probabilities(clip), first[clip.frame.camera], atol=0.01) for clip in clips)


def test_after_a_silence_a_stream_is_as_at_its_beginning(models: Callable[[str], Path]) -> None:
    stream = predictions(models("recurrent"), shot(FRAMES, gap_after=3))
    alone = predictions(models("recurrent"), shot(FRAMES, gap_after=3)[3 * len(CAMERAS) :])

    for before, after in zip(stream[-len(alone) :], alone, strict=True):
        np.testing.assert_allclose(probabilities(before), probabilities(after), atol=1e-6)


def test_a_rate_leaves_frames_out_before_the_model_sees_them(models: Callable[[str], Path]) -> None:
    stream = predictions(models("recurrent"), shot(10), rate=5.0)
    assert [each.steps for each in stream if isinstance(each, wire.RecurrentMessage)] == sorted([1, 2, 3, 4, 5] * 3)


def test_topics_that_do_not_fit_are_refused_at_the_start(models: Callable[[str], Path]) -> None:
    model = load_model(ModelGroup(path=models("recurrent"), threads=1))
    check_topics(model, Topics(state="state"))
    with pytest.raises(SettingsError) as refused:
        check_topics(model, Topics(annotated="seen"))
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "topics.state is not set",
        "topics.annotated",
    ]
    assert "vision-worker topics" in refused.value.faults[0]
    assert "vision-worker render" in refused.value.faults[1]
    check_topics(load_model(ModelGroup(path=models("clip"), threads=1)), Topics(annotated="seen"))


# ----- faults


def coloured(count: int, *, first: int = 0) -> list[Record]:
    return [
        a_record(offset, value=picture(NAMES[offset % 3]), timestamp=100 * offset, key=CAMERAS[offset % 2].encode())
        for offset in range(first, count)
    ]


def by_hand(count: int) -> dict[int, tuple[int, tuple[float, ...]]]:
    frames = [Frame(offset, CAMERAS[offset % 2], 100 * offset, NAMES[offset % 3]) for offset in range(count)]
    return {offset: (said.steps, said.shares) for offset, said in sequences_by_hand(frames, Rules()).items()}


def said(published: Sequence[OutboundRecord]) -> list[tuple[int, tuple[int, tuple[float, ...]]]]:
    """Return what each prediction says, by offset, in the order of publication."""
    found = []
    for record in published:
        if record.topic == TOPICS.predictions:
            message = wire.decode_message(record.value or b"")
            assert isinstance(message, wire.RecurrentMessage)
            shares = {each.name: each.probability for each in message.classes}
            found.append((message.frame.offset, (message.steps, tuple(shares[name] for name in NAMES))))
    return found


def states(published: Sequence[OutboundRecord]) -> list[Saved]:
    return list(wire.newest_states(as_read(record) for record in published if record.topic == "state"))


def flow(
    script: Sequence[Event],
    sink: MemorySink,
    *,
    rules: Rules = RULES,
    saved: Sequence[Saved] = (),
    topics: OutputTopics = STATE,
) -> Flow:
    return Flow(
        script,
        sink=sink,
        model=SequenceModel(),
        make_hidden=rules.make_hidden(),
        sampling=rules.sampling(),
        topics=topics,
        published_before=lambda: saved,
        max_frames=4,
    )


def test_states_are_written_after_the_results_that_they_include() -> None:
    sink = MemorySink()
    flow([coloured(8)], sink).run()

    topics = [record.topic for record in sink.published]
    assert topics.count("state") >= 2
    last_state = {record.key: n for n, record in enumerate(sink.published) if record.topic == "state"}
    assert max(n for n, topic in enumerate(topics) if topic == TOPICS.predictions) < max(last_state.values())
    reached = {each.key.camera: each.next_offset for each in states(sink.published)}
    assert reached == {"gate": 7, "hall": 8}
    for key, n in last_state.items():
        camera = (key or b"").decode().rpartition("/")[2]
        before = [offset for offset, _ in said(sink.published[:n]) if CAMERAS[offset % 2] == camera]
        assert max(before) + 1 == reached[camera]


@pytest.mark.parametrize("failing", range(4))
@pytest.mark.parametrize("through", [0, 1, 3])
def test_at_least_once_no_frame_gets_a_second_prediction_that_differs(failing: int, through: int) -> None:
    """A publication fails, after some of its records; another worker goes on from what was committed: nothing."""
    sink = MemorySink(failures={failing: through})
    polls = [coloured(12)[n : n + 4] for n in range(0, 12, 4)]
    with pytest.raises(DeliveryFailed):
        flow(polls, sink).run()
    crashed = said(sink.published)
    after = flow(polls, MemorySink(), saved=states(sink.published)).run()

    assert [
        (offset, what) for offset, what in crashed + said(after.sink.published) if what != by_hand(12)[offset]
    ] == []
    assert {offset for offset, _ in crashed + said(after.sink.published)} == set(range(12))
    twice = {offset for offset, _ in crashed} & {offset for offset, _ in said(after.sink.published)}
    included = {each.key.camera: each.next_offset for each in states(sink.published)}
    assert all(offset >= included.get(CAMERAS[offset % 2], 0) for offset in twice)
    skipped = sum(
        after.metric("skipped_frames_total", camera=camera, reason="published-before") or 0 for camera in CAMERAS
    )
    assert skipped == 12 - len(said(after.sink.published))


def test_exactly_once_a_state_is_part_of_the_transaction_of_its_results() -> None:
    failing = MemorySink(refusals={0, 1}, commit=lambda _: None)
    found = flow([coloured(12)[n : n + 4] for n in range(0, 12, 4)], failing).run()

    assert dict(said(failing.published)) == by_hand(12)
    assert len(said(failing.published)) == 12
    assert found.metric("refused_transactions_total") == 2


def test_accuracy_counts_what_the_sequence_says() -> None:
    labelled = [replace(record, headers=(("label", b"red"),)) for record in coloured(8)]
    found = flow([labelled], MemorySink()).run()

    best = [NAMES[int(np.argmax(shares))] for _, (_, shares) in sorted(by_hand(8).items())]
    assert 0 < best.count("red") < 8
    newest = {each.key.camera: each for each in found.tallies()}
    assert sum(each.correct_top1 for each in newest.values()) == best.count("red")
    assert sum(each.labelled for each in newest.values()) == 8


def test_cameras_that_are_not_heard_any_more_are_deleted_and_counted() -> None:
    many = [
        a_record(offset, value=picture("red"), timestamp=offset, key=f"cam-{offset % 40}".encode())
        for offset in range(60)
    ]
    sink = MemorySink()
    found = flow([[record] for record in many], sink, rules=Rules(span=10)).run()

    dropped = [record.key for record in sink.published if record.topic == "state" and record.value is None]
    assert found.metric("dropped_states_total") == len(dropped) > 40
    assert len(states(sink.published)) <= 10 + 4
    assert [what[0] for _, what in said(sink.published)] == [1] * 60


def test_a_worker_without_a_state_topic_keeps_states_in_memory() -> None:
    sink = MemorySink()
    flow([coloured(8)], sink, topics=TOPICS).run()

    assert dict(said(sink.published)) == by_hand(8)
    assert {record.topic for record in sink.published} == {TOPICS.predictions, TOPICS.accuracy}
