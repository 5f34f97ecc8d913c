"""Samples made of several frames: each camera's frames are put in order and followed on a track of their own."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from worker.domain.checkpoints import SPAN
from worker.domain.frames import EncodedFrame
from worker.domain.samples import Picture, Sample, Skipped
from worker.domain.times import Monotonic
from worker.sampling.order import Arrival, CaptureOrder

OUT_OF_MEMORY: Final = "out-of-memory"
FORGOTTEN_AFTER: Final = 10
"""Idle times after which nothing is known of a silent camera any more. Until then a frame of a clip that is over is
late; afterwards it begins the clip anew."""

UNHEARD: Final = SPAN // 2
"""Offsets of a partition without a frame of a camera after which it counts as silent, however fast they were read. In a
backlog its silence is not heard, and its open clips would hold back what can be published beyond the checkpoint."""

Taken = Sequence[Sample | Skipped]


class Held(NamedTuple):
    """A frame that a track holds for the samples that show it.

    Attributes:
        picture: is being decoded, or was.
        witness: as of its arrival.
        slot: where it lies on the track's grid of capture time.
    """

    frame: EncodedFrame
    picture: "Future[Picture]"
    witness: int
    slot: int


class Track(Protocol):
    """What is held of one camera, in order of capture."""

    @property
    def held(self) -> Sequence[Held]:
        """The frames that samples yet to come may show."""

    @property
    def last(self) -> int | None:
        """The witness of the frame that fills the newest slot, so that others of that slot are left out."""

    def follow(self, arrival: Arrival) -> Taken:
        """Take the next frame in order of capture; return what is decided now."""

    def finish(self) -> Taken:
        """Decide everything: the camera has fallen silent. Nothing is held afterwards."""

    def abandon(self, reason: str) -> Taken:
        """Skip all frames that no sample has shown. Nothing is held afterwards."""


@dataclass(slots=True)
class _Camera:
    order: CaptureOrder
    track: Track
    heard: Monotonic
    offset: int = 0
    needs: int | None = None
    held_bytes: int = 0


class ByCamera:
    """Implements `ports.Sampler` for models that see several frames of a camera.

    Args:
        make_track: makes what a camera's ordered frames are followed on.
        lateness: milliseconds of capture time for which an earlier frame is waited for.
        idle: seconds of silence after which what is open of a camera is finished.
        picture_bytes: of one prepared picture.

    Attributes:
        held_bytes: bytes of the prepared pictures that are held.
    """

    def __init__(self, make_track: Callable[[], Track], *, lateness: int, idle: float, picture_bytes: int) -> None:
        self.held_bytes = 0
        self._make_track = make_track
        self._lateness = lateness
        self._idle = idle
        self._picture_bytes = picture_bytes
        # Of both, the camera that was heard longest ago comes first.
        self._open: dict[str, _Camera] = {}
        self._silent: dict[str, _Camera] = {}

    def __len__(self) -> int:
        """Count the cameras of which anything is known."""
        return len(self._open) + len(self._silent)

    def take(self, frame: EncodedFrame, now: Monotonic) -> Taken:
        """Take the next frame in offset order; return what is decided now."""
        name = frame.frame.camera
        camera = self._open.pop(name, None) or self._silent.pop(name, None)
        if camera is None:
            camera = _Camera(CaptureOrder(self._lateness), self._make_track(), now)
        camera.heard, camera.offset = now, frame.frame.position.offset
        self._open[name] = camera
        released = camera.order.add(frame)
        taken: list[Sample | Skipped] = [released] if isinstance(released, Skipped) else self._follow(camera, released)
        while camera.offset - _first(self._open).offset > UNHEARD:
            taken += self._silence_first()
        return taken

    def pass_time(self, now: Monotonic) -> Taken:
        """Finish what is open of cameras that have been silent for too long, and forget those silent for longer."""
        taken = list[Sample | Skipped]()
        while self._open and now - _first(self._open).heard >= self._idle:
            taken += self._silence_first()
        while self._silent and now - _first(self._silent).heard >= FORGOTTEN_AFTER * self._idle:
            del self._silent[next(iter(self._silent))]
        return taken

    def relieve(self) -> Taken | None:
        """Give up what is open of the camera that was heard longest ago, because memory is short."""
        for name, camera in self._open.items():
            if camera.held_bytes or camera.order.waiting:
                self._silent[name] = self._open.pop(name)
                taken = [*self._follow(camera, camera.order.release_all()), *camera.track.abandon(OUT_OF_MEMORY)]
                self._note(camera)
                return taken
        return None

    def drain(self) -> Taken:
        """Decide everything that is undecided: no more frames come."""
        return [each for camera in self._open.values() for each in self._finish(camera)]

    def oldest_needed(self) -> int | None:
        """Return the oldest offset that a sample yet to come needs; None if none does."""
        return min((camera.needs for camera in self._open.values() if camera.needs is not None), default=None)

    def _silence_first(self) -> list[Sample | Skipped]:
        """Finish what is open of the camera that was heard longest ago."""
        name = next(iter(self._open))
        camera = self._silent[name] = self._open.pop(name)
        return self._finish(camera)

    def _follow(self, camera: _Camera, released: Iterable[Arrival]) -> list[Sample | Skipped]:
        taken = [each for arrival in released for each in camera.track.follow(arrival)]
        self._note(camera)
        return taken

    def _finish(self, camera: _Camera) -> list[Sample | Skipped]:
        taken = [*self._follow(camera, camera.order.release_all()), *camera.track.finish()]
        self._note(camera)
        return taken

    def _note(self, camera: _Camera) -> None:
        """Keep what is asked of all cameras often: to look through all of their frames each time would take long."""
        held, waiting = camera.track.held, camera.order.waiting
        needs = [camera.track.last, camera.order.newest]
        needs += [each.witness for each in held] + [each.witness for each in waiting]
        camera.needs = min((each for each in needs if each is not None), default=None)
        held_bytes = len(held) * self._picture_bytes
        self.held_bytes += held_bytes - camera.held_bytes
        camera.held_bytes = held_bytes


def _first(cameras: dict[str, _Camera]) -> _Camera:
    return next(iter(cameras.values()))
