"""Write records to a real Kafka that no client library writes: their headers are bytes, name and value alike."""

import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka.admin import AdminClient

PRODUCE: Final = 0
VERSION: Final = 3
CASTAGNOLI: Final = 0x82F63B78


class RawRecord(NamedTuple):
    """One record, as its bytes are.

    Attributes:
        timestamp: milliseconds; -1 for none.
    """

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    timestamp: int = 1_700_000_000_000


def send_raw(bootstrap_servers: str, topic: str, partition: int, records: Sequence[RawRecord]) -> None:
    """Write records to one partition in one batch, and wait until its leader has them.

    Raises:
        AssertionError: the broker refuses them.
    """
    found = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(topic, timeout=10)
    leader = found.brokers[found.topics[topic].partitions[partition].leader]
    batch = _batch(records)
    topic_data = _string(topic) + struct.pack(">iii", 1, partition, len(batch)) + batch
    body = _string(None) + struct.pack(">hii", -1, 10_000, 1) + topic_data
    request = struct.pack(">hhi", PRODUCE, VERSION, 1) + _string("raw") + body
    with socket.create_connection((leader.host, leader.port), timeout=20) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = struct.unpack(">i", answers.read(4))
            answer = answers.read(size)
    # correlation id, number of topics, the topic, number of partitions, the partition, its error
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic.encode()) + 4 + 4)
    assert error == 0, f"the broker refuses the records: error {error}"


def _batch(records: Sequence[RawRecord]) -> bytes:
    """Build a record batch of version 2, uncompressed; its checksum begins after the checksum."""
    first = records[0].timestamp
    body = b"".join(_record(offset, each, first) for offset, each in enumerate(records))
    last, latest = len(records) - 1, max(each.timestamp for each in records)
    checked = struct.pack(">hiqqqhii", 0, last, first, latest, -1, -1, -1, len(records)) + body
    rest = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(rest)) + rest


def _record(offset: int, record: RawRecord, first: int) -> bytes:
    headers = b"".join(_varint(len(name)) + name + _bytes(value) for name, value in record.headers)
    body = (
        b"\0"
        + _varint(record.timestamp - first)
        + _varint(offset)
        + _bytes(record.key)
        + _bytes(record.value)
        + _varint(len(record.headers))
        + headers
    )
    return _varint(len(body)) + body


def _bytes(value: bytes | None) -> bytes:
    return _varint(-1) if value is None else _varint(len(value)) + value


def _string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def _varint(number: int) -> bytes:
    zigzag, out = (number << 1) ^ (number >> 63), bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def crc32c(data: bytes) -> int:
    """Return the checksum of Kafka's record batches."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
