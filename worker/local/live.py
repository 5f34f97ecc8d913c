"""Read live sources in threads of their own, so that none waits for another or for the broker."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

import structlog
from cv2.typing import MatLike

from worker.adapters.clocks import wall_clock
from worker.domain.errors import SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.newest import Newest
from worker.local.pacing import PICTURES_PER_SECOND, Due, is_late, retry_delay, thin
from worker.media.jpeg import JpegEncoder
from worker.media.video import video_frames

log = structlog.get_logger(__name__)

SHOTS_KEPT: Final = 2
"""Newest frames of each camera that wait for the encoder: they are large."""
FRAMES_KEPT: Final = 4
"""Newest JPEGs of each camera that wait to be sent."""
_END_WITHIN: Final = 2.0
"""Seconds to wait for the threads at the end: one that waits for a silent camera is left behind."""


class Shot(NamedTuple):
    """When a frame arrived, and its pixels, BGR."""

    captured_at: EventMillis
    pixels: MatLike


class Live(Protocol):
    """A source that gives frames when it wants to.

    Attributes:
        camera: the camera id of its frames.
        reconnects: how often it came back after it was lost.
        failure: why it was given up, if it was.
    """

    camera: str
    reconnects: int
    failure: SourceLost | None

    def run(self, shots: Newest[Shot], stop: threading.Event) -> None:
        """Put in frames until the source ends or `stop` is set."""


class Camera:
    """A source that is opened again whenever it ends or fails.

    Args:
        camera: the camera id of its frames.
        read: opens it and returns its frames, not converted yet; raises SourceLost.
        rate: frames per second to keep at most; None keeps all.
        give_up_after: seconds without a frame after which it is given up; None never gives up.
    """

    def __init__(
        self,
        camera: str,
        read: Callable[[], Generator[Callable[[], MatLike], None, None]],
        *,
        rate: float | None = None,
        give_up_after: float | None = None,
    ) -> None:
        self.camera = camera
        self.reconnects = 0
        self.failure: SourceLost | None = None
        self._read = read
        self._rate = rate
        self._give_up_after = give_up_after
        self._arrived: float | None = None
        self._failures = 0
        self._told = False

    def run(self, shots: Newest[Shot], stop: threading.Event) -> None:
        """Put in frames until `stop` is set, or the camera is given up."""
        began = time.monotonic()
        keeps = thin(self._arrivals(), self._rate)
        while not stop.is_set():
            lost = SourceLost(f"{self.camera} has ended")
            try:
                with closing(self._read()) as frames:
                    for pixels in frames:
                        self._note_frame()
                        if stop.is_set():
                            return
                        if next(keeps):
                            shots.put(self.camera, Shot(wall_clock(), pixels()))
            except SourceLost as error:
                lost = error
            self._failures += 1
            self._tell(lost)
            silent = time.monotonic() - (began if self._arrived is None else self._arrived)
            if self._give_up_after is not None and silent >= self._give_up_after:
                self.failure = lost
                return
            left = math.inf if self._give_up_after is None else self._give_up_after - silent
            stop.wait(min(retry_delay(self._failures), left))

    def _arrivals(self) -> Iterator[float]:
        while self._arrived is not None:
            yield self._arrived

    def _note_frame(self) -> None:
        self.reconnects += bool(self._failures and self._arrived is not None)
        if self._told:
            log.warning("camera gives frames again" if self.reconnects else "camera gives frames", camera=self.camera)
        self._arrived, self._failures, self._told = time.monotonic(), 0, False

    def _tell(self, lost: SourceLost) -> None:
        """Say once that a camera cannot be opened; say nothing if it has given frames and may do so again at once."""
        just_ended = self._arrived is not None and self._failures == 1
        if not (just_ended or self._told):
            self._told = True
            log.warning("no frames, trying again", camera=self.camera, error=str(lost))


class Playback:
    """A video file that is played in real time, as if a camera filmed it: frames that would be late are dropped.

    Args:
        camera: the camera id of its frames.
        path: the file.
        rate: frames per second; None keeps the file's own.
        rounds: how often to play it; None means endless.
    """

    def __init__(self, camera: str, path: Path, rate: float | None = None, rounds: int | None = 1) -> None:
        self.camera = camera
        self.reconnects = 0
        self.failure: SourceLost | None = None
        self._path = path
        self._rate = rate
        self._rounds = rounds

    def run(self, shots: Newest[Shot], stop: threading.Event) -> None:
        """Put in each frame when it is due, until the last round ends or `stop` is set.

        Raises:
            SourceLost: the file is damaged.
            SettingsError: it states no rate and none was given.
        """
        began: float | None = None
        begin, due, shown = 0.0, 0.0, -math.inf
        interval = 1 / PICTURES_PER_SECOND  # of a video with a single frame
        played = 0
        while played != self._rounds:
            with closing(video_frames(self._path, self._rate)) as frames:
                for position, pixels in frames:
                    if position:
                        interval = begin + position - due
                    due = begin + position
                    if began is None:
                        began = time.monotonic()  # opening the file makes nothing late
                    now = time.monotonic() - began
                    if is_late(due, now, interval, shown):
                        shots.count_dropped(self.camera)
                        continue
                    if stop.wait(max(0.0, due - now)):
                        return
                    shown = max(due, now)
                    shots.put(self.camera, Shot(wall_clock(), pixels()))
            begin = due + interval
            played += 1


class LiveFeeds:
    """Reads and encodes live sources, two threads for each, and keeps their newest frames.

    Use it as a context manager.

    Args:
        sources: the live sources; with none, nothing is started.
        encode: makes the JPEG.
    """

    def __init__(self, sources: Sequence[Live], encode: JpegEncoder) -> None:
        self._sources = sources
        self._encode = encode
        self._stop = threading.Event()
        self._shots = [Newest[Shot](SHOTS_KEPT) for _ in sources]
        self._frames = Newest[CapturedFrame](FRAMES_KEPT)
        self._running = len(sources)
        self._ending = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        if not self._sources:
            self._frames.close()
        for source, shots in zip(self._sources, self._shots, strict=True):
            for work in (self._read, self._encode_all):
                thread = threading.Thread(target=self._guard, args=(work, source, shots), daemon=True)
                thread.name = f"{work.__name__.strip('_')}-{source.camera}"
                self._threads.append(thread)
                thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for shots in self._shots:
            shots.close()
        until = time.monotonic() + _END_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def take(self, timeout: float | None) -> CapturedFrame | None:
        """Wait for the next frame, at most `timeout` seconds; return None if there is none.

        Raises:
            SourceLost: a file that is played is damaged.
        """
        return self._frames.take(timeout)

    @property
    def ended(self) -> bool:
        """Whether every source has ended and every frame was taken."""
        return self._frames.ended

    @property
    def dropped(self) -> dict[str, int]:
        """Number of dropped frames by camera, so far."""
        dropped = sum((shots.dropped for shots in self._shots), self._frames.dropped)
        return {source.camera: dropped[source.camera] for source in self._sources}

    @property
    def reconnects(self) -> dict[str, int]:
        """How often each camera came back, so far."""
        reconnects = Counter[str]()
        for source in self._sources:
            reconnects[source.camera] += source.reconnects
        return dict(reconnects)

    @property
    def failures(self) -> list[SourceLost]:
        """Why cameras were given up."""
        return [source.failure for source in self._sources if source.failure is not None]

    def _guard(self, work: Callable[[Live, Newest[Shot]], None], source: Live, shots: Newest[Shot]) -> None:
        try:
            work(source, shots)
        except Exception as error:  # noqa: BLE001 it is raised where frames are taken
            self._frames.fail(error)

    def _read(self, source: Live, shots: Newest[Shot]) -> None:
        source.run(shots, self._stop)
        shots.close()

    def _encode_all(self, source: Live, shots: Newest[Shot]) -> None:
        while (shot := shots.take()) is not None:
            jpeg = self._encode(shot.pixels)
            self._frames.put(source.camera, CapturedFrame(source.camera, jpeg, shot.captured_at, "image/jpeg"))
        with self._ending:
            self._running -= 1
            if not self._running:
                self._frames.close()


def frames_in_time(
    schedule: Iterator[Due], feeds: LiveFeeds, *, seconds: float | None = None, keep_times: bool = False
) -> Iterator[CapturedFrame]:
    """Yield scheduled frames when they are due, and live frames as they arrive in between.

    Args:
        schedule: frames of files and folders by due time.
        feeds: the live sources.
        seconds: when to end the live sources; None waits for their end.
        keep_times: leave scheduled frames their capture times instead of setting the time of yielding them.

    Raises:
        SourceLost: a file or folder cannot be read to its end.
    """
    began = time.monotonic()
    due = next(schedule, None)
    while True:
        elapsed = time.monotonic() - began
        live = not feeds.ended and (seconds is None or elapsed < seconds)
        if due is None and not live:
            return
        limits = [limit for limit in (due and due.seconds, seconds if live else None) if limit is not None]
        timeout = max(0.0, min(limits) - elapsed) if limits else None
        if not live:
            time.sleep(timeout or 0.0)
        elif (frame := feeds.take(timeout)) is not None:
            yield frame
        if due is not None and time.monotonic() - began >= due.seconds:
            yield due.frame if keep_times else replace(due.frame, captured_at=wall_clock())
            due = next(schedule, None)
