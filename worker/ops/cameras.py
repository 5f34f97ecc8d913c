"""Which cameras have series of their own in the metrics: not all of them, because each series costs memory."""

from typing import Final

import structlog

from worker.domain.records import TopicPartition

OTHER_CAMERAS: Final = "other"
"""The label of all cameras beyond the limit."""


class Cameras:
    """The cameras that have series, each with the partitions in which it was seen.

    Args:
        limit: how many there may be, `limits.max_cameras`.

    Attributes:
        is_full: a camera has come for which there was no room.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.is_full = False
        self._seen: dict[str, set[TopicPartition]] = {}

    def series(self, camera: str, partition: TopicPartition) -> str:
        """Return the value of a camera's label `camera`, and note where the camera was seen."""
        seen = self._seen.get(camera)
        if seen is None:
            if len(self._seen) >= self.limit:
                self._tell_once()
                return OTHER_CAMERAS
            seen = self._seen[camera] = set()
        seen.add(partition)
        return camera

    def forget(self, partition: TopicPartition) -> list[str]:
        """Forget what was seen in a partition; return the cameras that were seen nowhere else."""
        gone = [camera for camera, seen in self._seen.items() if seen == {partition}]
        for camera in gone:
            del self._seen[camera]
        for seen in self._seen.values():
            seen.discard(partition)
        return gone

    def _tell_once(self) -> None:
        if not self.is_full:
            self.is_full = True
            structlog.get_logger("worker").warning(
                f"there are more than {self.limit} cameras: metrics and alerts show the others together, as camera "
                f"{OTHER_CAMERAS!r}; predictions and accuracy are not affected; raise limits.max_cameras to see each"
            )
