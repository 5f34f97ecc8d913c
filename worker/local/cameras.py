"""The demo's cameras: their frames, and the thread that sends them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.adapters.kafka import KafkaSink
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.pacing import interleave, timeline
from worker.local.samples import PHOTOGRAPHS, fetch_video, load_photograph
from worker.local.scenes import LENGTH, Scene
from worker.media.video import read_video

VIDEO: Final = "bikes"
VIDEO_STRIDE: Final = 5
"""Every fifth frame of the video is sent, at the video's own speed."""

Cameras = Mapping[str, Sequence[CapturedFrame]]
"""The frames that each camera repeats, by name; their capture times determine its speed."""


def render_cameras(seconds: float, rate: float) -> Cameras:
    """Render every frame in advance, so that the worker has the CPU during the run.

    Args:
        seconds: how long the cameras will run. A short run shows a camera's whole movement in fewer frames, so that it
            is as difficult for the model as a long run.
        rate: frames per second of each camera with a photograph.
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
    found[VIDEO] = list(read_video(fetch_video(VIDEO), camera=VIDEO, start=EventMillis(0)))[::VIDEO_STRIDE]
    return found


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
    """Sends every camera's frames when they are due; their capture time is the time of sending.

    Attributes:
        counts: number of frames sent, by camera; other threads only read it.
        failure: the error that ended the feed early, if any.
    """

    def __init__(self, bootstrap_servers: str, topic: str, cameras: Cameras, seconds: float) -> None:
        super().__init__(name="cameras", daemon=True)
        self.counts: Counter[str] = Counter()
        self.failure: WorkerError | None = None
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        timelines = [timeline(partial(iter, frames), rounds=None) for frames in cameras.values()]
        self._schedule = interleave(timelines, seconds)

    def run(self) -> None:
        """Send frames until the time has elapsed."""
        sink, began = KafkaSink(self._bootstrap_servers, {}), time.monotonic()
        try:
            for due, frame in self._schedule:
                time.sleep(max(0.0, began + due - time.monotonic()))
                number = self.counts[frame.camera]
                now = wall_clock()
                named = replace(frame, frame_id=f"{frame.camera}-{number:06}", captured_at=now)
                sink.send(wire.render_frame(self._topic, named))
                self.counts[frame.camera] = number + 1
            sink.flush()
        except WorkerError as error:
            self.failure = error
        finally:
            sink.close()
