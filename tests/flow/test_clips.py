"""Clips through the whole loop: the same as computed from all frames at once, whatever befalls the workers between."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clips import Clip, ClipModel, Shot, clips_by_hand, decode_number, values_by_hand
from tests.support.executors import Held, Inline
from tests.support.flow import TOPICS, Flow, as_read
from worker import wire
from worker.adapters.memory import Assign, Event, MemorySink, Revoke
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

    def worker(self, clip: ClipShape, group: SamplingGroup, script: Iterator[Event], **more: object) -> Flow:
        sink = MemorySink(self.published.append, commit=self.committed.update if self.exactly_once else None)
        sampling = sampling_of(group, clip, engine="eager", frame_shape=(1, 1, 3), lateness=LATENESS, live=False)
        flow = Flow(
            script,
            sink=sink,
            model=ClipModel(clip),
            decode=decode_number,
            lateness=LATENESS,
            sampling=sampling,
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
def streams(draw: st.DrawFn) -> list[Shot]:
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
