"""One process of the local Kafka, broker and controller in one: its settings, its start and its end."""

import os
from dataclasses import dataclass
from pathlib import Path

from worker.local.guarded import GuardedProcess

COORDINATOR_PARTITIONS = 10
"""Partitions of each topic Kafka keeps for itself; fewer than its usual 50, for loading them is part of the start."""

# The quick compiler alone: the broker is up two seconds sooner, and no laptop asks it for more than that gives.
# No performance data: it is a file in /tmp that a killed Java leaves behind.
# Kafka writes its whole configuration into the log five times: it stands in server.properties already.
_JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one node listens on 127.0.0.1."""

    clients: int
    controllers: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all nodes of one local Kafka have in common.

    Attributes:
        identity: Kafka's cluster id.
        ports: of node 1, node 2 and so on.
        java: the executable.
        jars: the class path.
        scratch: the temporary folder that goes when the program that started the nodes is gone, if there is one.
    """

    identity: str
    ports: tuple[Ports, ...]
    java: Path
    jars: tuple[Path, ...]
    scratch: Path | None


class Node:
    """One Kafka process.

    Args:
        number: Kafka's node id, from 1.
        folder: holds its settings and its data.
        log: what it says is appended here.
    """

    def __init__(self, number: int, folder: Path, log: Path) -> None:
        self.number = number
        self.log = log
        self._data = folder / "data"
        self._properties = folder / "server.properties"
        self._process: GuardedProcess | None = None
        self._log_began = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.alive

    def start(self, cluster: Cluster) -> None:
        """Start the process, after giving an empty data folder its identity; returns before Kafka is ready."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(_render(_settings(self.number, self._data, cluster)))
        java = [str(cluster.java), *_JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, cluster.jars))]
        commands = [[*java, "kafka.Kafka", str(self._properties)]]
        if not (self._data / "meta.properties").exists():
            identity = f"--cluster-id={cluster.identity}"  # in one word: it may begin with a hyphen
            commands.insert(0, [*java, "kafka.tools.StorageTool", "format", identity, "-c", str(self._properties)])
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        self._process = GuardedProcess(commands, log=self.log, scratch=cluster.scratch)

    def stop(self) -> None:
        """Let Kafka end in order, and wait until it has."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End the process as a power cut would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def said(self) -> str:
        """Return what the process said since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            return log.read().decode(errors="replace")


def _settings(number: int, data: Path, cluster: Cluster) -> dict[str, str | int]:
    ports, size = cluster.ports[number - 1], len(cluster.ports)
    copies = min(size, 3)
    safe = max(1, copies - 1)
    voters = (f"{voter}@127.0.0.1:{at.controllers}" for voter, at in enumerate(cluster.ports, start=1))
    return {
        "process.roles": "broker,controller",
        "node.id": number,
        # Static voters: their ports may differ from start to start.
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports.clients},CONTROLLER://127.0.0.1:{ports.controllers}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.clients}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": safe,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": safe,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": safe,
        "offsets.topic.num.partitions": COORDINATOR_PARTITIONS,
        "transaction.state.log.num.partitions": COORDINATOR_PARTITIONS,
        "share.coordinator.state.topic.num.partitions": COORDINATOR_PARTITIONS,
        # Groups settle in tenths of seconds, and a killed member is missed after ten (both protocols are on).
        "group.initial.rebalance.delay.ms": 0,
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.heartbeat.interval.ms": 200,
        "group.consumer.min.session.timeout.ms": 10_000,
        "group.consumer.session.timeout.ms": 10_000,
    }


def _render(settings: dict[str, str | int]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())
