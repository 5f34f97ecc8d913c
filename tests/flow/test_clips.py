"""Clips through the whole loop: the same as computed from all frames at once, whatever befalls the workers between."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import Clip, ClipModel, Shot, clips_by_hand, decode_number, kept_by_hand, values_by_hand
from tests.support.executors import Held, Inline
from tests.support.flow import TOPICS, Flow, as_read
from worker import wire
from worker.adapters.memory import Assign, Event, MemorySink, MemorySource, Pause, Revoke
from worker.app.sampling import sampling_of
from worker.domain.checkpoints import Checkpoint
from worker.domain.clips import ClipShape
from worker.domain.records import OutboundRecord, TopicPartition
from worker.settings import SamplingGroup

PARTITION = TopicPartition("frames", 0)
LATENESS = 200


@dataclass
class Topic:
    """One partition of frames, and what outlives the workers."""

    sent: Sequence[Shot]
    exactly_once: bool
    published: list[OutboundRecord] = field(default_factory=list)
    committed: dict[TopicPartition, Checkpoint] = field(default_factory=dict)

    def worker(
        self,
        clip: ClipShape,
        group: SamplingGroup,
        script: Iterator[Event],
        *,
        live: bool = False,
        lateness: int = LATENESS,
        **more: object,
    ) -> Flow:
        sink = MemorySink(self.published.append, commit=self.committed.update if self.exactly_once else None)
        sampling = sampling_of(group, clip, engine="eager", frame_shape=(1, 1, 3), lateness=lateness, live=live)
        flow = Flow(
            script,
            sink=sink,
            model=ClipModel(clip),
            decode=decode_number,
            lateness=lateness,
            sampling=sampling,
            awaits_silence=live,
            published_before=lambda: wire.newest_tallies(
                as_read(r) for r in self.published if r.topic == TOPICS.accuracy
            ),
            **more,  # type: ignore[arg-type]
        )
        flow.source.committed = self.committed
        return flow

    def unread(self) -> list[Shot]:
        return list(self.sent[self.next_offset :])

    @property
    def next_offset(self) -> int:
        return self.committed.get(PARTITION, Checkpoint(0)).next_offset

    def polls(self, size: int) -> Iterator[Event]:
        yield Assign([PARTITION])
        first = self.next_offset
        for start in range(first, len(self.sent), size):
            yield [self.sent[offset].at_offset(offset) for offset in range(start, min(start + size, len(self.sent)))]

    def messages(self) -> list[wire.Message]:
        return [wire.decode_message(r.value or b"") for r in self.published if r.topic == TOPICS.predictions]

    def clips(self) -> list[Clip]:
        found = []
        for each in self.messages():
            assert isinstance(each, wire.ClipMessage)
            first, last = (self.sent[end.offset].number for end in (each.clip.first, each.clip.last))
            assert each.frame.offset == each.clip.last.offset
            assert each.clip.frames == len(each.classes)
            shown = tuple(each.index for each in each.classes)
            found.append(Clip(each.frame.camera, shown, first, last, each.clip.used))
        return found

    def values(self) -> list[tuple[int, float]]:
        found = []
        for each in self.messages():
            assert isinstance(each, wire.FrameValueMessage)
            found.append((self.sent[each.frame.offset].number, each.value))
        return found


@dataclass(frozen=True)
class Life:
    """One worker: how much it reads at a time, after how many polls it ends, and how."""

    size: int
    polls: int
    crashes: bool
    max_frames: int
    held: bool


lives = st.builds(
    Life,
    size=st.integers(1, 12),
    polls=st.integers(0, 12),
    crashes=st.booleans(),
    max_frames=st.integers(1, 4),
    held=st.booleans(),
)


@st.composite
def streams(draw: st.DrawFn, damaged: float = 0.0) -> list[Shot]:
    """Draw what cameras send: 12 to 30 frames a second, some lost, some twice, shuffled within the lateness."""
    random, shots, number = draw(st.randoms(use_true_random=False)), list[tuple[float, Shot]](), 0
    for camera in range(draw(st.integers(1, 3))):
        at = 1_700_000_000_000 + random.randrange(10_000)
        for _ in range(draw(st.integers(1, 60))):
            at += max(1, round(1000 / random.choice([30, 25, 12]) + random.uniform(-8, 8)))
            if random.random() < 0.02:
                at += random.randrange(3_000)  # the camera is away for a while
            if random.random() < 0.05:
                continue
            number += 1
            shot = Shot(number, f"cam-{camera}", at, label=random.choice(["even", "odd", None]))
            shot = shot._replace(damaged=random.random() < damaged)
            arrives = at + random.uniform(0, LATENESS - 1)
            shots.append((arrives, shot))
            if random.random() < 0.1:
                shots.append((arrives + random.uniform(0, 1), shot))
    return [shot for _, shot in sorted(shots, key=lambda each: each[0])]


def play(topic: Topic, clip: ClipShape, group: SamplingGroup, history: Sequence[Life]) -> None:
    """Let worker after worker read the topic; the last one reads it to the end."""
    for life in history:
        script = topic.polls(life.size)
        flow = topic.worker(
            clip,
            group,
            iter([*(event for _, event in zip(range(life.polls + 1), script, strict=False)), Revoke([PARTITION])]),
            max_frames=life.max_frames,
            make_executor=Held if life.held else Inline,
            commit_interval=0.01,
        )
        flow.worker.join()
        for _ in range(life.polls + (1 if life.crashes else 2)):
            if not flow.worker.step():
                break
    topic.worker(clip, group, topic.polls(5)).run()


CLIPS = [
    (ClipShape(4, 8.0), SamplingGroup()),
    (ClipShape(8, 15.0), SamplingGroup(stride=2, least_frames=3)),
    (ClipShape(6, 10.0), SamplingGroup(stride=4, gap="skip")),
    (ClipShape(5, 7.5), SamplingGroup(stride=1, gap="shorten", least_frames=2)),
    (ClipShape(3, 10.0), SamplingGroup(stride=5, rate=4.0)),
]


@pytest.mark.parametrize(("clip", "group"), CLIPS, ids=str)
@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
@settings(max_examples=60, deadline=None)
@given(sent=streams(), history=st.lists(lives, max_size=4))
def test_clips_are_those_computed_from_all_frames(
    clip: ClipShape, group: SamplingGroup, *, exactly_once: bool, sent: list[Shot], history: list[Life]
) -> None:
    topic = Topic(sent, exactly_once)
    play(topic, clip, group, history)

    expected = clips_by_hand(
        sent,
        frames=clip.frames,
        rate=group.rate or clip.rate,
        stride=group.stride or clip.frames,
        gap=group.gap,
        least=group.least_frames or (clip.frames + 1) // 2,
    )
    found = topic.clips()
    assert set(found) == set(expected)
    if exactly_once or not any(life.crashes for life in history):
        assert Counter(found) == Counter(expected)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
@settings(max_examples=40, deadline=None)
@given(sent=streams(damaged=0.1), history=st.lists(lives, max_size=4))
def test_a_damaged_frame_is_to_its_clips_as_if_it_had_never_been_sent(
    stride: int, *, exactly_once: bool, sent: list[Shot], history: list[Life]
) -> None:
    topic = Topic(sent, exactly_once)
    play(topic, ClipShape(4, 15.0), SamplingGroup(stride=stride, least_frames=1), history)

    expected = clips_by_hand(sent, frames=4, rate=15.0, stride=stride)
    assert set(topic.clips()) == set(expected)
    refused = Counter(
        wire.parse_dead_letter(as_read(r)).offset for r in topic.published if r.topic == TOPICS.dead_letters
    )
    kept = {shot.number for slots in kept_by_hand(sent, 15.0).values() for shot in slots.values() if shot.damaged}
    assert {sent[offset].number for offset in refused} == kept
    if exactly_once:
        assert len(topic.clips()) == len(expected)
        assert set(refused.values()) <= {1}


VALUES = [
    (ClipShape(8, 16.0, middle=4), SamplingGroup()),
    (ClipShape(10, 25.0, middle=6), SamplingGroup()),
    (ClipShape(4, 20.0, middle=4), SamplingGroup()),
]


@pytest.mark.parametrize(("clip", "group"), VALUES, ids=str)
@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
@settings(max_examples=60, deadline=None)
@given(sent=streams(), history=st.lists(lives, max_size=4))
def test_each_frame_has_its_value_once(
    clip: ClipShape, group: SamplingGroup, *, exactly_once: bool, sent: list[Shot], history: list[Life]
) -> None:
    topic = Topic(sent, exactly_once)
    play(topic, clip, group, history)

    assert clip.middle is not None
    expected = values_by_hand(sent, frames=clip.frames, middle=clip.middle, rate=clip.rate)
    found = topic.values()
    assert set(found) == set(expected.items())
    if exactly_once or not any(life.crashes for life in history):
        assert len(found) == len(expected)


# ----- silence and memory


def four(camera: str, first: int, slot: int) -> list[Shot]:
    """Return four frames that fill a clip of `ClipShape(4, 10.0)`."""
    return [Shot(first + number, camera, (slot + number) * 100) for number in range(4)]


def live(
    sent: Sequence[Shot],
    script: Sequence[Event],
    *,
    idle_ms: int = 1_000,
    memory: int = 2**20,
    source: type[MemorySource] = MemorySource,
) -> tuple[Topic, Flow]:
    """Run a worker for which silence means something, to the end of the script but without draining it."""
    topic = Topic(sent, exactly_once=True)
    clip, group = ClipShape(4, 10.0), SamplingGroup(idle_ms=idle_ms, least_frames=1)
    flow = topic.worker(
        clip, group, iter(script), live=True, lateness=0, linger=0.01, max_in_flight_bytes=memory, make_source=source
    )
    flow.worker.join()
    for _ in script:
        flow.worker.step()
    return topic, flow


def test_the_last_clip_of_a_silent_camera_is_closed_and_holds_no_neighbour_back() -> None:
    sent = [*four("a", 0, 40)[:2], *four("b", 10, 40), *four("b", 20, 44)]
    records: list[Event] = [shot.at_offset(offset) for offset, shot in enumerate(sent)]
    topic, flow = live(sent, [Assign([PARTITION]), *records, *[Pause()] * 10])
    assert [clip.camera for clip in topic.clips()] == ["b"] * 2
    assert flow.committed()[PARTITION] == 0

    topic, flow = live(sent, [Assign([PARTITION]), *records, *[Pause()] * 200])
    assert [clip.camera for clip in topic.clips()] == ["b", "b", "a"]
    assert topic.clips()[-1].shown == (0, 1, 1, 1)
    assert flow.committed()[PARTITION] == len(sent)


class Behind(MemorySource):
    """A source of whose partition more has come than was read."""

    def lag(self) -> dict[TopicPartition, int]:
        return {PARTITION: 1}


def test_a_partition_that_is_not_read_to_its_end_is_not_silent() -> None:
    sent = [*four("a", 0, 40)[:2], *four("b", 10, 40)]
    records: list[Event] = [shot.at_offset(offset) for offset, shot in enumerate(sent)]
    between = list[Event]()
    for record in records[2:]:
        between += [record, *[Pause()] * 3]
    topic, _ = live(sent, [Assign([PARTITION]), *records[:2], *between], source=Behind)
    assert [clip.camera for clip in topic.clips()] == ["b"]


def test_open_clips_count_as_memory_and_are_given_up_when_it_is_short() -> None:
    sent = [shot for number in range(40) for shot in four(f"cam-{number}", 10 * number, 40)[:3]]
    records = [shot.at_offset(offset) for offset, shot in enumerate(sent)]
    topic, flow = live(sent, [Assign([PARTITION]), records, *[Pause()] * 3], idle_ms=600_000, memory=1_000)
    given_up = flow.metric("skipped_frames_total", camera="other", reason="out-of-memory")
    assert given_up is not None
    assert given_up > 0
    assert flow.metric("relieved_cameras_total")
    assert (flow.metric("in_flight_bytes") or 0) <= 1_000
    # What is kept goes on; what was given up is committed.
    assert 0 < flow.committed()[PARTITION] < len(sent)
    assert topic.clips() == []


def test_a_thousand_cameras_of_which_most_fall_silent_leave_nothing_behind() -> None:
    silent = [shot for number in range(900) for shot in four(f"cam-{number}", 10 * number, 40)[:2]]
    speaking = [Shot(10_000 + number, "speaks", 4_000 + 100 * number) for number in range(40)]
    sent = [*silent, *speaking]
    records = [shot.at_offset(offset) for offset, shot in enumerate(sent)]
    script: list[Event] = [Assign([PARTITION]), records[: len(silent)]]
    for record in records[len(silent) :]:
        script += [record, *[Pause()] * 30]
    topic, flow = live(sent, script, memory=2**24)
    assert len({clip.camera for clip in topic.clips()}) == 901
    assert flow.committed()[PARTITION] >= len(silent)
    assert (flow.metric("in_flight_bytes") or 0) < 10_000
