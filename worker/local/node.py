"""One process of the local Kafka, both broker and controller: its settings, start and stop."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.local.guarded import GuardedProcess

COORDINATOR_PARTITIONS = 10
"""Partitions of each internal topic; fewer than the default of 50, because loading them is part of the start."""

# Only the fast compiler (C1): the broker starts two seconds earlier, and its speed is enough for a laptop.
# No performance data: this is a file in /tmp that a killed Java would leave behind.
# Kafka would log its whole configuration five times, but it is in server.properties.
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

NodeSettings = dict[str, str | int]
"""What is in server.properties, under Kafka's own names."""
Adjust = Callable[[NodeSettings], NodeSettings]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node on 127.0.0.1."""

    clients: int
    controllers: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The settings that all nodes of one local Kafka share.

    Attributes:
        identity: Kafka's cluster id.
        ports: ports of node 1, node 2 and so on.
        java: the executable.
        jars: the class path.
        scratch: a temporary folder that is deleted when the program that started the nodes has ended; None if there is
            none.
        adjust: returns the settings of a node, of those that it would have by default.
    """

    identity: str
    ports: tuple[Ports, ...]
    java: Path
    jars: tuple[Path, ...]
    scratch: Path | None
    adjust: Adjust = dict


class Node:
    """One Kafka process.

    Args:
        number: Kafka's node id, from 1.
        folder: folder of its settings and its data.
        log: file to which its output is appended.
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
        """Start the process, and first format an empty data folder; return before Kafka is ready."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(_render(cluster.adjust(_settings(self.number, self._data, cluster))))
        java = [str(cluster.java), *_JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, cluster.jars))]
        commands = [[*java, "kafka.Kafka", str(self._properties)]]
        if not (self._data / "meta.properties").exists():
            identity = f"--cluster-id={cluster.identity}"  # as one argument, because the id may begin with a hyphen
            commands.insert(0, [*java, "kafka.tools.StorageTool", "format", identity, "-c", str(self._properties)])
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        self._process = GuardedProcess(commands, log=self.log, scratch=cluster.scratch)

    def stop(self) -> None:
        """Stop Kafka cleanly, and wait until it has ended."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Kill the process, like a power cut, and wait until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def said(self) -> str:
        """Return the process's output since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            return log.read().decode(errors="replace")


def _settings(number: int, data: Path, cluster: Cluster) -> NodeSettings:
    ports, size = cluster.ports[number - 1], len(cluster.ports)
    replicas = min(size, 3)
    min_in_sync = max(1, replicas - 1)
    voters = (f"{voter}@127.0.0.1:{at.controllers}" for voter, at in enumerate(cluster.ports, start=1))
    return {
        "process.roles": "broker,controller",
        "node.id": number,
        # Static voters, because the ports may change with every start.
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports.clients},CONTROLLER://127.0.0.1:{ports.controllers}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.clients}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": min_in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min_in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": min_in_sync,
        "offsets.topic.num.partitions": COORDINATOR_PARTITIONS,
        "transaction.state.log.num.partitions": COORDINATOR_PARTITIONS,
        "share.coordinator.state.topic.num.partitions": COORDINATOR_PARTITIONS,
        # Groups become stable in tenths of a second, and a killed member is noticed after ten seconds (both protocols).
        "group.initial.rebalance.delay.ms": 0,
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.heartbeat.interval.ms": 200,
        "group.consumer.min.session.timeout.ms": 10_000,
        "group.consumer.session.timeout.ms": 10_000,
        # What a killed worker leaves open is aborted a second after its timeout, and not up to ten seconds later.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
    }


def _render(settings: NodeSettings) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())
