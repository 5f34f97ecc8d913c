"""The demo's cameras: their frames, and the thread that sends them."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.adapters.kafka import KafkaSink
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.cuts import VIDEO, frame_id
from worker.local.pacing import Due, interleave, timeline
from worker.local.samples import PHOTOGRAPHS, fetch_video, load_photograph
from worker.local.scenes import LENGTH, Scene
from worker.media.video import read_video

Cameras = Mapping[str, Sequence[CapturedFrame]]
"""The frames that each camera repeats, by name; their capture times determine its speed."""


def render_cameras(seconds: float, rate: float) -> Cameras:
    """Render every frame of the photographs' cameras in advance, so that the workers have the CPU during the run.

    Args:
        seconds: how long the cameras will run. A short run shows a camera's whole movement in fewer frames, so that it
            is as difficult for the model as a long run.
        rate: frames per second of each camera.
    """
    length = min(LENGTH, max(2, int(seconds * rate)))
    found: dict[str, Sequence[CapturedFrame]] = {}
    for photograph in PHOTOGRAPHS:
        scene = Scene(load_photograph(photograph), photograph.seed, length=length)
        found[photograph.name] = [
            CapturedFrame(
                photograph.name, jpeg, EventMillis(round(number * 1000 / rate)), "image/jpeg", label=photograph.label
            )
            for number, jpeg in enumerate(scene.frames())
        ]
    return found


def render_video() -> Sequence[CapturedFrame]:
    """Return all frames of the video, encoded in advance; their capture times begin at 0."""
    return list(read_video(fetch_video(VIDEO), camera=VIDEO, start=EventMillis(0)))


def play_cameras(cameras: Cameras, seconds: float) -> Iterator[Due]:
    """Yield the frames of all cameras for these seconds; each camera repeats its frames."""
    return interleave([timeline(partial(iter, frames), rounds=None) for frames in cameras.values()], seconds)


def play_video(frames: Sequence[CapturedFrame], rounds: int) -> Iterator[Due]:
    """Yield the frames of the video at its own speed, in this number of rounds, without a pause between them."""
    return timeline(partial(iter, frames), rounds=rounds)


def moving_photographs(count: int) -> Iterator[CapturedFrame]:
    """Return the first frames of the cameras with photographs, one camera after the other; 640x480, without labels.

    Raises:
        FetchFailed: the photographs cannot be downloaded; raised by the call.
    """
    each = -(-count // len(PHOTOGRAPHS))
    scenes = [Scene(load_photograph(one), one.seed, length=each) for one in PHOTOGRAPHS]
    jpegs = ((one.name, jpeg) for one, scene in zip(PHOTOGRAPHS, scenes, strict=True) for jpeg in scene.frames())
    return (CapturedFrame(name, jpeg, EventMillis(0), "image/jpeg") for name, jpeg in islice(jpegs, count))


class CameraFeed(threading.Thread):
    """Sends frames when they are due; their capture time is the time at which they are due.

    So the intervals between capture times are exact, however late a busy machine sends a frame.

    Args:
        schedule: the frames of one or several cameras, by due time.

    Attributes:
        counts: number of frames sent, by camera; other threads only read it.
        failure: the error that ended the feed early, if any.
    """

    def __init__(self, bootstrap_servers: str, topic: str, schedule: Iterable[Due]) -> None:
        super().__init__(name=topic, daemon=True)
        self.counts: Counter[str] = Counter()
        self.failure: WorkerError | None = None
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._schedule = schedule

    def run(self) -> None:
        """Send all frames of the schedule."""
        sink = KafkaSink(self._bootstrap_servers, {})
        began, start = time.monotonic(), wall_clock()
        try:
            for due, frame in self._schedule:
                time.sleep(max(0.0, began + due - time.monotonic()))
                number = self.counts[frame.camera]
                captured_at = EventMillis(start + round(due * 1000))
                named = replace(frame, frame_id=frame_id(frame.camera, number), captured_at=captured_at)
                sink.send(wire.render_frame(self._topic, named))
                self.counts[frame.camera] = number + 1
            sink.flush()
        except WorkerError as error:
            self.failure = error
        finally:
            sink.close()
