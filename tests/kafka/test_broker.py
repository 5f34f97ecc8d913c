import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from worker.local import broker
from worker.local.broker import KafkaFailed, LocalKafka
from worker.local.jars import fetch_jars, jar_folder
from worker.local.node import Ports

# ----- a running broker


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_what_is_produced_is_consumed_by_a_group(
    bootstrap_servers: str, make_topic: Callable[..., str], protocol: str
) -> None:
    topic = make_topic(partitions=2)
    _produce(bootstrap_servers, topic, [b"a", b"b"])

    assert sorted(_consume(bootstrap_servers, topic, 2, {"group.protocol": protocol})) == [b"a", b"b"]


def test_topics_are_not_made_by_asking_for_them(bootstrap_servers: str) -> None:
    found = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics("never-made", timeout=10)

    assert found.topics["never-made"].partitions == {}


# ----- start and end


def test_data_stays_in_a_folder_of_its_own_though_a_port_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster.json").write_text('{"identity": "-wcHBwcHBwcHBwcHBwcHBw", "nodes": 1}')  # one in 64 is so
    kafka = LocalKafka(folder=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        choices = [(Ports(other.getsockname()[1], _free_port()),), broker._free_ports(1)]
        monkeypatch.setattr(broker, "_free_ports", lambda _: choices.pop(0))
        kafka.start()
    monkeypatch.undo()
    assert choices == []
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(30)
    _produce(kafka.bootstrap_servers, "kept", [b"still here"])
    kafka.stop()

    with kafka:
        assert _consume(kafka.bootstrap_servers, "kept", 1) == [b"still here"]


def test_a_start_that_fails_shows_the_log(tmp_path: Path) -> None:
    (tmp_path / "node-1" / "data").mkdir(parents=True)
    (tmp_path / "node-1" / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n")
    kafka = LocalKafka(folder=tmp_path)

    with pytest.raises(KafkaFailed, match="doesn't match previous node id 1") as failed:
        kafka.start()

    assert str(kafka.logs / "node-1.log") in str(failed.value)
    assert not kafka.alive


def test_a_folder_keeps_its_number_of_nodes(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"identity": "x", "nodes": 1}')

    with pytest.raises(KafkaFailed, match="has the data of 1 nodes, not 3"):
        LocalKafka(nodes=3, folder=tmp_path).start()


# The thread that starts Kafka ends long before the program does: Kafka must not end with the one, but with the other.
_PROGRAM_THAT_IS_KILLED = """
import threading, time
from worker.local.broker import LocalKafka
kafka = LocalKafka()
starter = threading.Thread(target=kafka.start)
starter.start()
starter.join()
print(kafka.logs.parent, kafka._nodes[0]._process.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_a_program_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM_THAT_IS_KILLED], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        folder, supervisor = program.stdout.readline().split()
        (java,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        assert b"kafka.Kafka" in Path(f"/proc/{java}/cmdline").read_bytes()

        program.send_signal(signal.SIGKILL)

    _wait_until(lambda: not any(Path("/proc", process).exists() for process in (supervisor, java)))
    assert not Path(folder).exists()


# ----- in the background


def test_up_status_and_down(tmp_path: Path) -> None:
    fetch_jars()
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / jar_folder().name).symlink_to(jar_folder())  # its own state, but the jars of all
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    environment["VISION_WORKER_CACHE"] = str(cache)

    def command(*words: str, **more: str) -> tuple[int, str]:
        kafka = [sys.executable, "-m", "worker", "kafka", *words]
        ran = subprocess.run(kafka, env=environment | more, capture_output=True, text=True, timeout=120, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    assert command("status")[0] == 1
    assert command("up", KAFKA_BOOTSTRAP_SERVERS="there:9092")[1].startswith(
        "KAFKA_BOOTSTRAP_SERVERS is set: there:9092"
    )
    assert command("status")[0] == 1

    up, said = command("up")
    try:
        assert (up, said.splitlines()[0]) == (0, "Apache Kafka 4.3.1 is ready.")
        address = said.split()[said.split().index("address") + 1]
        assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).brokers.keys() == {1}
        again, said_again = command("up")
        assert (again, said_again.splitlines()[0]) == (0, "Kafka is already running.")
        assert address in said_again
        assert address in command("status")[1]
    finally:
        down, _ = command("down")

    assert down == 0
    assert command("status")[0] == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))


def _produce(servers: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def _consume(servers: str, topic: str, count: int, settings: dict[str, str] | None = None) -> list[bytes]:
    group = {"bootstrap.servers": servers, "group.id": f"of-{topic}", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer(group | (settings or {}))
    consumer.subscribe([topic])
    try:
        return [_value(message) for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def _value(message: Message) -> bytes:
    assert message.error() is None
    value = message.value()
    assert isinstance(value, bytes)
    return value


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _free_port() -> int:
    return broker._free_ports(1)[0].controllers
