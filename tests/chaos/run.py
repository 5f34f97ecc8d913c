"""One run: its own topics, a group of real workers, a constant load, and an end at which everything is counted."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final

from confluent_kafka.admin import AdminClient

from tests.chaos.load import FRAMES_A_SECOND, Load
from tests.chaos.verdict import Excuse, Verdict, judge, judge_clips
from tests.support.cameras import Cameras
from tests.support.clip_cameras import clip_settings, in_order
from tests.support.clip_program import write_clip_model
from tests.support.workers import Stage, WorkerProcess, persistently, wait_until
from worker.adapters.kafka import KafkaAdmin, Topic
from worker.local.broker import LocalKafka

PARTITIONS: Final = 4
CAMERAS: Final = 5
FILMED: Final = 6
"""Numbered frames sent for each photograph: their model takes no time, and a clip needs many frames."""


class Run:
    """The environment of a scenario.

    Args:
        kafka: the Kafka cluster; other runs on it do not interfere.
        nodes: number of Kafka nodes; with three, every topic has three replicas, and two must confirm.
        mode: the delivery guarantee.
        quick: whether a shorter scenario is enough.
        folder: folder for the workers' settings and logs.
        seconds: how long memory is measured; None takes the scenario's own time.

    Attributes:
        workers: the workers that should be running.
        excuses: the frames that were uncommitted at each disturbance.
        figures: the scenario's counts and measurements.
        sent: number of frames sent, after the load has ended and all are confirmed.
        faults: violated expectations of the scenario.
        may_end: whether a worker may stop without being told to, and is then replaced; otherwise this is a fault.
    """

    def __init__(
        self,
        kafka: LocalKafka,
        nodes: int,
        mode: str,
        *,
        quick: bool,
        seed: int,
        folder: Path,
        seconds: float | None = None,
    ) -> None:
        self.kafka, self.mode, self.quick, self.seconds = kafka, mode, quick, seconds
        self.random = Random(seed)  # noqa: S311 random choices that can be repeated
        self.stage = _stage(kafka.bootstrap_servers, copies=nodes)
        self.workers: list[WorkerProcess] = []
        self.excuses: list[Excuse] = []
        self.figures: dict[str, float] = {}
        self.sent: int | None = None
        self.may_end = False
        self.faults: list[str] = []
        self._folder = folder
        self._clip_model: Path | None = None
        self._load: Load | None = None
        self._sent_before = 0
        self._undo = ExitStack()

    def film(self) -> None:
        """Let the workers see clips, and let cameras send numbered frames; to be called first."""
        folder = self._folder / "clip-model"
        folder.mkdir()
        self._clip_model = write_clip_model(folder)

    def begin(self, workers: int) -> None:
        """Start workers, and then the load when they are ready."""
        self.start(workers)
        self.load()

    def load(self, rate: float = FRAMES_A_SECOND) -> None:
        """Send frames at this rate from now on, until the run ends or the rate changes.

        Numbered ones begin several times as fast.
        """
        if self._load is not None:
            self._load.rate = rate
        elif self._clip_model is None:
            self._load = Load(self.stage, rate)
        else:
            self._load = Load(self.stage, FILMED * rate, in_order(self.stage, CAMERAS))

    def start(self, count: int = 1, **groups: Mapping[str, Any]) -> list[WorkerProcess]:
        """Start workers at the same time, with settings of their own, and return when they are ready."""
        filming = clip_settings(self._clip_model) if self._clip_model else {}
        settings = self.stage.settings(delivery={"guarantee": self.mode}, **filming, **groups)
        new = [self._undo.enter_context(WorkerProcess(settings, self._folder)) for _ in range(count)]
        self.workers += new
        for worker in new:
            worker.wait_until_ready()
        return new

    def replace_ended(self) -> None:
        """Start a worker for each one that has stopped, as a supervisor would."""
        ended = [worker for worker in self.workers if not worker.alive]
        if ended:
            assert self.may_end, f"the worker with log {ended[0].log} has stopped"
            self.workers = [worker for worker in self.workers if worker.alive]
            self.figures["ended_themselves"] = self.figures.get("ended_themselves", 0) + len(ended)
            self.start(len(ended))

    def send(self, frames: int) -> None:
        """Send frames at once, before the load begins."""
        Cameras(self.stage).send(frames)
        self._sent_before += frames

    def expect(self, holds: bool, fault: str) -> None:  # noqa: FBT001 used like assert, but the run continues
        """Record a fault unless a condition holds."""
        if not holds:
            self.faults.append(fault)

    def steady(self) -> None:
        """Let the load run for a while, so that there is something to measure."""
        time.sleep(2 if self.quick else 5)

    def stop(self, worker: WorkerProcess) -> None:
        """Stop a worker cleanly."""
        self.workers.remove(worker)
        status = worker.stop()
        assert status == 0, f"{worker.log} ended with status {status}"

    def wait_until_shared(self, *only: WorkerProcess) -> None:
        """Wait until each of these workers (default: all) reads some partitions, and each partition has one reader."""

        def shared() -> bool:
            self._supervise()
            held = [worker.partitions() for worker in only or self.workers]
            return all(held) and sorted(chain(*held)) == list(range(PARTITIONS))

        try:
            wait_until(shared, f"{len(only or self.workers)} workers share {PARTITIONS} partitions")
        except AssertionError as error:
            for worker in self.workers:
                error.add_note(f"{worker.log.name} reads {sorted(worker.partitions())}; its last lines:")
                error.add_note("\n".join(worker.log.read_text().splitlines()[-10:]))
            raise

    def wait_until_caught_up(self) -> None:
        """Wait until the group has committed all frames that are in the topic now."""
        stage = self.with_new_client()
        ends = persistently(stage.ends)

        def caught_up() -> bool:
            self._supervise()
            return all(offset >= ends[partition] for partition, offset in stage.committed().items())

        wait_until(caught_up, f"the group commits {ends}")

    @contextmanager
    def disturbance(self) -> Iterator[None]:
        """Record the frames that are uncommitted meanwhile: with at least once, they may be predicted again."""
        committed = self.with_new_client().committed()
        yield
        self.excuses.append(Excuse(committed, persistently(self.with_new_client().ends)))

    def finish(self) -> None:
        """Stop the load, wait until all of it is committed, and stop the workers cleanly."""
        if self._load is not None:
            self.sent = self._sent_before + self._load.stop()
        self.wait_until_caught_up()
        for worker in tuple(self.workers):
            self.stop(worker)

    def judge(self) -> Verdict:
        """Read all topics, and count."""
        return (judge_clips if self._clip_model else judge)(self.stage, self.excuses)

    def close(self) -> None:
        """Stop everything that still runs."""
        if self._load is not None:
            self._load.close()
        self._undo.close()

    def with_new_client(self) -> Stage:
        """Return the stage with a new client: a client that was connected during an outage may never answer again."""
        return replace(self.stage, admin=_admin(self.stage.servers))

    def _supervise(self) -> None:
        self.replace_ended()
        if self._load is not None:
            self._load.check()


def _admin(servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": servers, "socket.timeout.ms": 10_000, "log_level": 0})


def _stage(servers: str, *, copies: int) -> Stage:
    stage = Stage(servers, f"chaos-{uuid.uuid4().hex[:12]}", PARTITIONS, _admin(servers), notes_skipped=True)
    config = {"min.insync.replicas": str(max(1, copies - 1))}
    specs = stage.topics.specs(partitions=PARTITIONS)
    topics = [Topic(each.name, each.partitions, config | each.config) for each in specs]
    KafkaAdmin(servers, {}).create(topics, replication_factor=copies)
    return stage
