"""Follow a demo's results until every frame is processed, and kill a worker on the way if that is wanted."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.domain.errors import WorkerError
from worker.domain.records import Record
from worker.local.cameras import CameraFeed
from worker.local.cuts import VIDEO
from worker.local.display import Show
from worker.local.screen import Member, Moment, Scene, State, at
from worker.local.stage import Stage
from worker.wire.frame import FRAME_ID

GIVE_UP_AFTER: Final = 60.0
"""Seconds without any result, after the last frame was sent. A machine that is too slow needs longer, but it may."""
_ASK_EVERY: Final = 0.5
"""Seconds after which the workers of a group are asked again for their partitions."""


@dataclass(slots=True)
class Watch:
    """A run, and what is known of it so far.

    Attributes:
        planned: seconds for which the cameras or the video send, whichever take longer.
        kill_after: seconds after which one of the workers that classify is killed; None for never.
        events: sentences about what has happened, for the screen.
    """

    pictures: Stage
    video: Stage
    feed: CameraFeed
    player: CameraFeed
    scene: Scene
    planned: float
    kill_after: float | None = None
    began: float = 0.0
    members: list[Member] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _asked: float = 0.0
    _orphans: frozenset[int] = frozenset()

    @property
    def sending(self) -> bool:
        """Whether a camera still sends."""
        return self.feed.is_alive() or self.player.is_alive()

    @property
    def done(self) -> bool:
        """Whether every frame was sent, has its result, and is counted."""
        return not self.sending and self.scene.board.settled and self.scene.video.lag == 0

    def follow(self, records: Iterator[Record | None], show: Show) -> None:
        """Let the cameras send, and take every result until all frames are processed.

        Args:
            records: the results of both stages as they come, and None where none comes for a while.
            show: called at every change.

        Raises:
            WorkerError: a worker or a camera has failed, or no result comes any more.
        """
        self.feed.start()
        self.player.start()
        self.began = heard = time.monotonic()
        for record in records:
            now = time.monotonic()
            if record is not None:
                self._take(record, now)
            heard = now if self.sending or record is not None else heard
            self.scene.board.sent(self.feed.counts)
            self.scene.video.sent = self.player.counts[VIDEO]
            self._look_after_group(now)
            self._check_all_run()
            done = self.done
            show(self.scene, self.moment(now), final=done)
            if done:
                return
            if now > heard + GIVE_UP_AFTER:
                raise WorkerError(
                    f"{self.scene.board.total('lag')} frames of the cameras and {self.scene.video.lag} of the video "
                    f"were not processed, and no result came for {GIVE_UP_AFTER:.0f} s; stop other programs that need "
                    "the processor, and start the demo again"
                )

    def moment(self, now: float) -> Moment:
        """Return what is true at this time of a monotonic clock, in seconds."""
        return Moment(
            now=now,
            elapsed=now - self.began,
            planned=self.planned,
            sending=self.sending,
            members=tuple(self.members),
            events=tuple(self.events),
        )

    def _take(self, record: Record, now: float) -> None:
        board, video = self.scene.board, self.scene.video
        topic = record.position.partition.topic
        if topic == self.pictures.topics.predictions:
            board.predicted(wire.decode_prediction(record.value or b""), now=now, arrived_at=wall_clock())
        elif topic == self.pictures.topics.accuracy:
            board.counted(wire.decode_accuracy(record.value or b""))
        elif topic == self.pictures.topics.dead_letters:
            board.rejected(*letter_of(record))
        elif topic == self.video.topics.predictions:
            video.valued(value_of(record))
        elif topic == self.video.topics.dead_letters:
            video.dead_letters += 1

    def _look_after_group(self, now: float) -> None:
        """Kill the worker when it is time, and find out who reads which partitions."""
        if len(self.pictures.workers) < 2:
            return
        if self.kill_after is not None and not self.pictures.killed and now >= self.began + self.kill_after:
            self._kill(now)
        elif now >= self._asked + _ASK_EVERY:
            self.members, self._asked = self.pictures.members() or self.members, time.monotonic()
            running = [each for each in self.members if each.state is State.RUNS]
            if self._orphans and self._orphans <= {number for each in running for number in each.partitions}:
                self.events.append(f"They were taken over at {at(now - self.began)}.")
                self._orphans = frozenset()

    def _kill(self, now: float) -> None:
        """Kill the worker that reads the frames of the most cameras."""
        self.members = self.pictures.members() or self.members
        used = [row.last.frame.partition for row in self.scene.board.rows.values() if row.last]
        busy = [sum(used.count(partition) for partition in each.partitions) for each in self.members]
        victim = max(range(len(busy)), key=lambda index: (busy[index], index))
        orphans = self.members[victim].partitions
        others = " or ".join(each.name for each in self.members if each is not self.members[victim])
        self.pictures.kill(victim + 1)
        self._orphans, self.members = frozenset(orphans), self.pictures.members() or self.members
        self.events.append(
            f"{self.members[victim].name} was killed with SIGKILL at {at(now - self.began)}. "
            f"Its partitions {', '.join(map(str, orphans))} go to {others} after 6 s of silence."
        )

    def _check_all_run(self) -> None:
        stages = (self.pictures, self.video)
        failures = [f"a camera could not send: {feed.failure}" for feed in (self.feed, self.player) if feed.failure]
        failures += [
            f"a worker has ended; its log ends:\n{each.said()}"
            for stage in stages
            for each in stage.running
            if not each.alive
        ]
        if failures:
            raise WorkerError("\n".join([*failures, "stop other programs that need memory, and start the demo again"]))


def letter_of(record: Record) -> tuple[str, str]:
    """Return the camera and the frame id of a dead letter; the demo's frames have both."""
    return wire.camera_of(record), (dict(record.headers).get(FRAME_ID) or b"").decode()


def value_of(record: Record) -> wire.FrameValueMessage:
    """Return a result of the model that finds cuts.

    Raises:
        WorkerError: it is the result of another kind of model.
    """
    message = wire.decode_message(record.value or b"")
    if not isinstance(message, wire.FrameValueMessage):
        raise WorkerError(f"the video's frames should get values, not {type(message).__name__}")
    return message
