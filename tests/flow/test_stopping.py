"""A worker that is told to stop in mid-stream, as in a rolling update: its successor makes the same clips."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.flow.test_clips import Topic
from tests.support.clips import Shot, clips_by_hand
from worker.adapters.memory import Event
from worker.domain.clips import ClipShape
from worker.settings import SamplingGroup

SHOTS = [Shot(number, "cam-1", 1_700_000_000_000 + 40 * number, label="even") for number in range(60)]


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
def test_a_stopped_worker_leaves_open_clips_to_its_successor(*, exactly_once: bool) -> None:
    clip, group = ClipShape(5, 10.0), SamplingGroup(stride=3)
    topic = Topic(SHOTS, exactly_once)

    def stopped(after: int) -> Iterator[Event]:
        for polls, event in enumerate(topic.polls(5)):
            if polls == after:
                flow.worker.stop()
            yield event

    for after in (4, 3):
        flow = topic.worker(clip, group, stopped(after))
        flow.run()
        assert 0 < topic.next_offset < len(SHOTS)
    topic.worker(clip, group, topic.polls(5)).run()

    expected = clips_by_hand(SHOTS, frames=clip.frames, rate=clip.rate, stride=3, least=3)
    assert Counter(topic.clips()) == Counter(expected)
    assert topic.next_offset == len(SHOTS)
