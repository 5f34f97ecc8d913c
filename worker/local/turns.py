"""Real workers that take turns on one Kafka: one works for a moment, and the others are paused."""

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import linear_regression
from types import TracebackType
from typing import Any, Final, Self

from worker import wire
from worker.adapters.kafka import KafkaAdmin, KafkaReader, KafkaSink, Topic
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, TopicPartition
from worker.domain.times import EventMillis
from worker.local.worker_process import WorkerProcess
from worker.settings import Topics

CAMERAS: Final = 4
"""Each camera has a partition of its own."""
BACKLOG_BYTES: Final = 250_000_000
LEAST_FRAMES, MOST_FRAMES = 400, 6000
"""Frames that are sent at first, and again when a worker has nearly read all."""
_MOST_TIMES: Final = 4
"""How often they are sent at most. After that, a worker that has nearly read all frames is started anew."""
_AT_A_TIME: Final = 500
_STAMPED: Final = {"message.timestamp.type": "LogAppendTime"}
"""Results get the broker's timestamp: its clock runs on while workers are paused."""
_AWAKE_AFTER: Final = 0.2
"""Seconds after a worker goes on of which the results do not count: they were made before."""
_IN_GROUP: Final[Mapping[str, Any]] = {"group_protocol": "classic", "consumer": {"session.timeout.ms": 240_000}}
"""A paused worker stays in its group: with the classic protocol, the member says for how long it may be silent."""
_ANSWERS_WITHIN: Final = 60.0
_IN_PROCESS: Final = 256
"""Frames that a worker may have read and not published."""
_KEPT: Final = 3
"""Workers in memory: two of a pair, and one that was used before them."""
_FIRST_LOOK: Final = 0.2
"""Seconds after which it is looked for the first time whether a new worker has published."""
_COMMIT_INTERVAL_MS: Final = 50
"""Half the default, and so workers publish twice as often: five times a second in a backlog."""

Settings = Mapping[str, Mapping[str, Any]]
"""Groups of settings of a worker."""


@dataclass(slots=True)
class _Member:
    """A worker, and what was seen of its results.

    Attributes:
        topics: those it writes to.
        seconds: length of its turns.
        begins: offsets from which on its results were not read.
        seen: number of results that were read.
        a_turn: results of its best turn.
    """

    process: WorkerProcess
    folder: Path
    topics: Sequence[str]
    seconds: float
    begins: dict[TopicPartition, int]
    seen: int = 0
    a_turn: int = 0


class WorkersInTurn:
    """Workers with settings that differ, each with its own group and its own topics of results, on the same frames.

    A worker is a process as `vision-worker run` starts it. At most three are in memory.

    Args:
        servers: bootstrap servers of a Kafka that needs no login. Topics are created there, and deleted at the end.
        frames: sent again and again, so that there is always a backlog.
        rate: frames per second of each camera, by capture time.
        frames_a_result: of a model of clips, more than one.
        recurrent: whether the model has hidden states, which need a topic.
        seconds: least length of a turn; it is longer if a worker does not publish twice in it.
    """

    def __init__(
        self,
        servers: str,
        frames: Sequence[CapturedFrame],
        *,
        rate: float,
        frames_a_result: int,
        recurrent: bool,
        seconds: float,
    ) -> None:
        self._servers, self._seconds, self._recurrent = servers, seconds, recurrent
        self._frames, self._rate, self._frames_a_result = frames, rate, frames_a_result
        size = sum(len(each.data) for each in frames) // len(frames)
        self._at_once = max(LEAST_FRAMES, min(MOST_FRAMES, BACKLOG_BYTES // max(1, size)))
        self._sent = 0
        self._name = f"tune-{uuid.uuid4().hex[:12]}"
        self._backlog = f"{self._name}-frames"
        self._admin = KafkaAdmin(servers, {})
        self._reader = KafkaReader(servers, {"fetch.wait.max.ms": 10})
        self._members: dict[str, _Member] = {}

    def __enter__(self) -> Self:
        """Send the backlog.

        Raises:
            WorkerError: the brokers do not answer, or refuse.
        """
        self._admin.create([Topic(self._backlog, CAMERAS, {})])
        self._send()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members.values():
            self._end(member)
        self._reader.close()
        self._admin.delete([self._backlog])

    def ready(self, settings: Settings) -> None:
        """Have a worker that runs, is paused, and has frames to read: start it, or send more frames.

        Args:
            settings: groups of settings, without brokers and topics.

        Raises:
            WorkerError: the worker does not start, ends, or publishes nothing, or the brokers take no more frames.
        """
        name = repr(settings)
        if name in self._members and self._nears_the_end(self._members[name]):
            if self._sent < _MOST_TIMES * self._at_once:
                self._send()
            else:
                self._end(self._members.pop(name))
        if name not in self._members:
            while len(self._members) >= _KEPT:
                self._end(self._members.pop(next(iter(self._members))))
            self._members[name] = self._start(settings)
        self._members[name] = self._members.pop(name)  # the first is the one that was used longest ago

    def turn(self, settings: Settings) -> tuple[float, float]:
        """Let a worker that is ready work.

        Returns:
            Predictions per second, and the seconds of the turn.

        Raises:
            WorkerError: the worker ends, or publishes nothing.
        """
        member = self._members[repr(settings)]
        began = time.monotonic()
        times = self._work(member)
        member.a_turn = max(member.a_turn, len(times))
        return linear_regression(times, range(len(times))).slope, time.monotonic() - began

    def _work(self, member: _Member) -> Sequence[float]:
        """Let a worker go on for a turn, and longer ones until it publishes twice in one; return when it published."""
        deadline = time.monotonic() + _ANSWERS_WITHIN
        while True:
            member.process.resume()
            time.sleep(member.seconds + _AWAKE_AFTER)
            member.process.pause()
            times = sorted(self._read(member))
            counted = [each for each in times if each >= times[0] + _AWAKE_AFTER]
            if counted and counted[0] < counted[-1]:
                return counted
            if not member.process.alive or time.monotonic() > deadline:
                raise WorkerError(
                    f"a worker published nothing; its log ends:\n{member.process.said()}\n"
                    "measure without Kafka: --no-kafka"
                )
            member.seconds *= 2

    def _nears_the_end(self, member: _Member) -> bool:
        left = self._sent - member.seen * self._frames_a_result - _IN_PROCESS
        return member.seen > 0 and left < 2 * member.a_turn * self._frames_a_result

    def _start(self, settings: Settings) -> _Member:
        """Start a worker, and pause it once it has published."""
        name = f"{self._name}-{uuid.uuid4().hex[:8]}"
        topics = Topics.with_prefix(name).model_copy(
            update={"frames": self._backlog, "state": f"{name}-state" if self._recurrent else None}
        )
        written = [each for each in topics.specs(partitions=CAMERAS) if each.name != self._backlog]
        self._admin.create([Topic(each.name, CAMERAS, each.config or _STAMPED) for each in written])
        folder = Path(tempfile.mkdtemp(prefix="tune-"))
        process = WorkerProcess(
            {
                **settings,
                "kafka": {"bootstrap_servers": self._servers, "group_id": name, **_IN_GROUP},
                "topics": topics.in_use(),
                "delivery": {"commit_interval_ms": _COMMIT_INTERVAL_MS},
                "ops": {"log_format": "json"},
            },
            folder,
        )
        results = {TopicPartition(topics.predictions, number): 0 for number in range(CAMERAS)}
        member = _Member(process, folder, [each.name for each in written], _FIRST_LOOK, results)
        try:
            process.wait_until_ready()
            self._work(member)
            member.seconds = self._seconds
        except BaseException:
            self._end(member)
            raise
        return member

    def _end(self, member: _Member) -> None:
        member.process.kill()  # nobody needs what it has not finished
        shutil.rmtree(member.folder, ignore_errors=True)
        self._admin.delete(member.topics)

    def _send(self) -> None:
        """Make the backlog longer."""
        sink = KafkaSink(self._servers, {"linger.ms": 20})
        try:
            records = self._records()
            while chunk := list(islice(records, _AT_A_TIME)):
                sink.publish(chunk, {})
        finally:
            sink.close()
        self._sent += self._at_once

    def _records(self) -> Iterator[OutboundRecord]:
        for number in range(self._sent, self._sent + self._at_once):
            turn, camera = divmod(number, CAMERAS)
            frame = replace(
                self._frames[turn % len(self._frames)],
                camera=f"tune-{camera}",
                frame_id=str(turn),
                captured_at=EventMillis(round(turn * 1000 / self._rate)),
            )
            yield replace(wire.render_frame(self._backlog, frame), partition=camera)

    def _read(self, member: _Member) -> Iterator[float]:
        """Yield the times of a worker's results, in seconds, from those on that were read before."""
        for record in self._reader.read_to_end(list(member.begins), begins=member.begins):
            member.begins[record.position.partition] = record.position.next_offset
            member.seen += 1
            yield record.timestamp / 1000
