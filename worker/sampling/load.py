"""What is left out while the worker does not keep up with its cameras: one policy for each value of the setting.

Samples are left out, not frames, so that a clip is shown whole or not at all. Every policy is fair: it treats each
camera alike, whatever the others send.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from worker.domain.samples import Sample, Skipped
from worker.domain.times import EventMillis
from worker.ports import Load

TOO_OLD: Final = "too-old"
REPLACED: Final = "replaced"
NOT_NTH: Final = "not-nth"

PLANNED: Final = 0.8
"""Share of the largest age that is planned with; the rest is for what no measurement predicts."""

FAIR: Final = 0.75
"""Of n cameras, one is served again once this share of n others was; so none gets more than 1/0.75 of its share."""

Admitted = Sequence[Sample | Skipped]


class HoldsNothing:
    """What most policies share: nothing is held back, and what was admitted is predicted."""

    def release(self, room: int) -> Sequence[Sample]:  # noqa: ARG002 none is held
        """Return nothing."""
        return ()

    def reconsider(self, sample: Sample, wall: EventMillis, in_process: float) -> Sequence[Skipped]:  # noqa: ARG002
        """Return nothing."""
        return ()


class SkipOlderThan(HoldsNothing):
    """Implements `ports.LoadPolicy`: leaves out what would be older than the limit when its result is published.

    Cameras whose frames happen to come first in each poll would be served more than others, so cameras take turns.

    Args:
        max_age: seconds from capture to publication.
    """

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._served = 0
        self._turns: dict[str, int] = {}  # how many were served when the camera was

    def admit(self, samples: Iterable[Sample], load: Load) -> Admitted:
        """Return the samples that are young enough, and the frames of the others, skipped."""
        admitted = list[Sample | Skipped]()
        for sample in samples:
            frame = sample.newest.frame
            too_old = self._is_too_old(sample, frame.arrived_at, load.in_process)
            if too_old or not self._takes_turn(frame.camera, is_pressed=load.room <= 0):
                admitted += skip(sample, TOO_OLD)
            else:
                admitted.append(sample)
        return admitted

    def reconsider(self, sample: Sample, wall: EventMillis, in_process: float) -> Sequence[Skipped]:
        """Skip a sample that has waited for too long."""
        return skip(sample, TOO_OLD) if self._is_too_old(sample, wall, in_process) else ()

    def _takes_turn(self, camera: str, *, is_pressed: bool) -> bool:
        if not is_pressed:
            self._turns.clear()
            return True
        turn = self._turns.setdefault(camera, self._served - len(self._turns))
        if self._served - turn < FAIR * (len(self._turns) - 1):
            return False
        self._served += 1
        self._turns[camera] = self._served
        return True

    def _is_too_old(self, sample: Sample, now: EventMillis, in_process: float) -> bool:
        return (now - sample.newest.frame.captured_at) / 1000 + in_process > PLANNED * self._max_age


class LatestPerCamera(HoldsNothing):
    """Implements `ports.LoadPolicy`: while there is no room, only the newest sample of each camera waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[str, Sample] = {}  # the camera that has waited longest comes first

    def admit(self, samples: Iterable[Sample], load: Load) -> Admitted:
        """Return the samples for which there is room, and the frames of those that a newer one has replaced."""
        admitted, room = list[Sample | Skipped](), load.room
        for sample in samples:
            camera = sample.newest.frame.camera
            if (older := self._waiting.get(camera)) is not None:
                admitted += skip(older, REPLACED)
                self._waiting[camera] = sample  # it keeps the camera's turn
            elif room > 0:
                room -= 1
                admitted.append(sample)
            else:
                self._waiting[camera] = sample
        return admitted

    def release(self, room: int) -> Sequence[Sample]:
        """Return the samples that have waited longest, as many as there is room for."""
        cameras = list(self._waiting)[: max(0, room)]
        return [self._waiting.pop(camera) for camera in cameras]


class EveryNth(HoldsNothing):
    """Implements `ports.LoadPolicy`: while there is no room, takes one of n samples of each camera.

    Args:
        n: at least 2.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._left_out: dict[str, int] = {}

    def admit(self, samples: Iterable[Sample], load: Load) -> Admitted:
        """Return the samples that are taken, and the frames of the others, skipped."""
        if load.room > 0:
            self._left_out.clear()
            return list(samples)
        admitted = list[Sample | Skipped]()
        for sample in samples:
            camera = sample.newest.frame.camera
            left_out = self._left_out.get(camera, self._n - 1)
            taken = left_out >= self._n - 1
            self._left_out[camera] = 0 if taken else left_out + 1
            admitted += [sample] if taken else skip(sample, NOT_NTH)
        return admitted


def skip(sample: Sample, reason: str) -> list[Skipped]:
    """Leave out a sample: its frames that nothing else becomes of are skipped."""
    covers = sample.clip.covers if sample.clip else ()
    return [Skipped(each.frame, reason) for each in (*covers, *sample.answers)]
