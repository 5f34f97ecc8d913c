"""One run: topics of its own, a group of real workers, a steady load, and an end at which everything is counted."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final

from confluent_kafka.admin import AdminClient

from tests.chaos.load import FRAMES_A_SECOND, Load
from tests.chaos.verdict import Excuse
from tests.support.cameras import Cameras
from tests.support.workers import Stage, WorkerProcess, persistently, wait_until
from worker.adapters.kafka import KafkaAdmin, Topic
from worker.local.broker import LocalKafka

PARTITIONS: Final = 4


class Run:
    """What a scenario is played with.

    Args:
        kafka: where; other runs on it know nothing of this one.
        nodes: of the Kafka; with three of them every topic has three replicas, and two must confirm.
        mode: the guarantee of delivery.
        quick: whether a small part of the scenario will do.
        folder: for the workers' settings and logs.

    Attributes:
        workers: those that should be running.
        excuses: what was uncommitted at each disturbance.
        figures: what the scenario has counted or measured.
        sent: how many frames, once the load has ended and all are confirmed.
        faults: what did not hold of what the scenario expected.
        may_end: whether a worker may stop by itself, and is then replaced; otherwise that is a fault.
    """

    def __init__(self, kafka: LocalKafka, nodes: int, mode: str, *, quick: bool, seed: int, folder: Path) -> None:
        self.kafka, self.mode, self.quick = kafka, mode, quick
        self.random = Random(seed)  # noqa: S311 chance that can be repeated
        self.stage = _stage(kafka.bootstrap_servers, copies=nodes)
        self.workers: list[WorkerProcess] = []
        self.excuses: list[Excuse] = []
        self.figures: dict[str, float] = {}
        self.sent: int | None = None
        self.may_end = False
        self.faults: list[str] = []
        self._folder = folder
        self._load: Load | None = None
        self._at_once = 0
        self._undo = ExitStack()

    def begin(self, workers: int) -> None:
        """Start so many workers, and the load once they are ready."""
        self.start(workers)
        self.load()

    def load(self, rate: float = FRAMES_A_SECOND) -> None:
        """Send so many frames a second from now on, until the run ends."""
        self._load = Load(self.stage, rate)

    def start(self, count: int = 1) -> list[WorkerProcess]:
        """Start workers, all at once, and return when they are ready."""
        settings = self.stage.settings(delivery={"guarantee": self.mode})
        new = [self._undo.enter_context(WorkerProcess(settings, self._folder)) for _ in range(count)]
        self.workers += new
        for worker in new:
            worker.wait_until_ready()
        return new

    def replace_ended(self) -> None:
        """Do what an operator's supervisor does: start a worker for each one that has stopped by itself."""
        ended = [worker for worker in self.workers if not worker.alive]
        if ended:
            assert self.may_end, f"{ended[0].log} ended by itself"
            self.workers = [worker for worker in self.workers if worker.alive]
            self.figures["ended_themselves"] = self.figures.get("ended_themselves", 0) + len(ended)
            self.start(len(ended))

    def send(self, frames: int) -> None:
        """Send frames at once, before the load begins."""
        Cameras(self.stage).send(frames)
        self._at_once += frames

    def expect(self, holds: bool, fault: str) -> None:  # noqa: FBT001 reads like assert, and the run goes on
        """Note a fault unless this holds."""
        if not holds:
            self.faults.append(fault)

    def steady(self) -> None:
        """Let the load go on for a while, so that there is something to be measured."""
        time.sleep(2 if self.quick else 5)

    def stop(self, worker: WorkerProcess) -> None:
        """Let a worker leave in order."""
        self.workers.remove(worker)
        status = worker.stop()
        assert status == 0, f"{worker.log} ended with status {status}"

    def wait_until_shared(self, *only: WorkerProcess) -> None:
        """Return when each of these workers, or of all, reads some partitions, and each partition is read by one."""

        def shared() -> bool:
            self._look_after()
            held = [worker.partitions() for worker in only or self.workers]
            return all(held) and sorted(chain(*held)) == list(range(PARTITIONS))

        try:
            wait_until(shared, f"{len(only or self.workers)} workers share {PARTITIONS} partitions")
        except AssertionError as error:
            for worker in self.workers:
                error.add_note(f"{worker.log.name} reads {sorted(worker.partitions())} and said last:")
                error.add_note("\n".join(worker.log.read_text().splitlines()[-10:]))
            raise

    def wait_until_caught_up(self) -> None:
        """Return when the group has committed all that lies in the topic now."""
        stage = self.asking_anew()
        ends = persistently(stage.ends)

        def caught_up() -> bool:
            self._look_after()
            return all(offset >= ends[partition] for partition, offset in stage.committed().items())

        wait_until(caught_up, f"the group commits {ends}")

    @contextmanager
    def disturbance(self) -> Iterator[None]:
        """Whatever is uncommitted meanwhile may, at least once, be predicted again."""
        committed = self.asking_anew().committed()
        yield
        self.excuses.append(Excuse(committed, persistently(self.asking_anew().ends)))

    def finish(self) -> None:
        """End the load, wait until all of it is committed, and let the workers leave in order."""
        if self._load is not None:
            self.sent = self._at_once + self._load.stop()
        self.wait_until_caught_up()
        for worker in tuple(self.workers):
            self.stop(worker)

    def close(self) -> None:
        """End what still runs."""
        if self._load is not None:
            self._load.close()
        self._undo.close()

    def asking_anew(self) -> Stage:
        """Return the stage with a client that has seen no outage: one that has may never answer again."""
        return replace(self.stage, admin=_admin(self.stage.servers))

    def _look_after(self) -> None:
        self.replace_ended()
        if self._load is not None:
            self._load.check()


def _admin(servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": servers, "socket.timeout.ms": 10_000, "log_level": 0})


def _stage(servers: str, *, copies: int) -> Stage:
    stage = Stage(servers, f"chaos-{uuid.uuid4().hex[:12]}", PARTITIONS, _admin(servers))
    config = {"min.insync.replicas": str(max(1, copies - 1))}
    specs = stage.topics.specs(partitions=PARTITIONS)
    topics = [Topic(each.name, each.partitions, config | each.config) for each in specs]
    KafkaAdmin(servers, {}).create(topics, replication_factor=copies)
    return stage
