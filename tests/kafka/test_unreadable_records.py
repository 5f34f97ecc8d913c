"""Records that the client cannot read completely, or whose timestamp no producer should have written.

No client library writes them: `tests/support/raw_records.py` does. One such record used to end every worker of its
partition, for ever.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from typer.testing import CliRunner

from tests.kafka.conftest import MakeTopic
from tests.support.cameras import pictures
from tests.support.raw_records import RawRecord, send_raw
from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.adapters.kafka import KafkaReader
from worker.cli import app
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings.topics import replay_marks

PICTURE = pictures(0)[0]
NOW = wall_clock()
IN_FOUR_YEARS = NOW + 4 * 365 * 24 * 3_600_000
GOOD = ((b"camera-id", b"gate"), (b"captured-at", b"%d" % NOW))
BYTES = b"\xff\xfe\xfd"
CAPTURED = (b"captured-at", b"%d" % (NOW - 5_000))

Pairs = Sequence[tuple[bytes, bytes | None]]
UNREADABLE: Mapping[str, Pairs] = {
    "a name that is not UTF-8": [(b"caf\xe9", b"1")],
    "such a name before others": [(BYTES, b"1"), (b"camera-id", b"door"), (b"label", b"tabby")],
    "such a name between others": [(b"camera-id", b"door"), (b"caf\xe9", b"1"), (b"label", None)],
    "several such names": [(BYTES, None), (b"\xed\xa0\x80", b""), (b"camera-id", b"door"), (BYTES, BYTES)],
    "a name that is cut within a letter": [("café".encode()[:-1], b"1"), (b"camera-id", b"door")],
}
"""By what is wrong: the headers of a record, of which some names are not UTF-8."""
ODD: Mapping[str, Pairs] = {
    "an empty name": [(b"", b"1")],
    "a long name": [(b"n" * 30_000, b"1")],
    "many headers": 3_000 * [(b"label", b"tabby")],
    "names of control characters": [(b"\n", b"1"), (b"\x1b[31m", b"2"), (b"camera-id", b"\x1b[31m")],
}
"""Headers that are odd, but can be read."""
TIMES = 20
"""Python optimises calls that it has seen a few times, and then misses that the client has set an exception."""


def kept(headers: Pairs) -> list[tuple[str, bytes | None]]:
    """Return the headers that a dead letter keeps."""
    found: list[tuple[str, bytes | None]] = []
    for name, value in headers:
        try:
            found.append((name.decode(), value))
        except UnicodeDecodeError:
            found.append(("\N{REPLACEMENT CHARACTER}", value))
    return found


@pytest.fixture
def unreadable(bootstrap_servers: str, make_topic: MakeTopic) -> TopicPartition:
    """Write a good record, then the unreadable ones `TIMES` times, then a good one."""
    topic = make_topic()
    records = [RawRecord(b"key", PICTURE, headers, NOW) for headers in ([], *TIMES * [*UNREADABLE.values()], [])]
    send_raw(bootstrap_servers, topic, 0, records)
    return TopicPartition(topic, 0)


def test_every_way_to_read_gives_such_records_with_all_that_can_be_read(
    bootstrap_servers: str, unreadable: TopicPartition
) -> None:
    reader = KafkaReader(bootstrap_servers, {})
    count = TIMES * len(UNREADABLE) + 2
    try:
        follower = reader.follow([unreadable], from_beginning=True)
        ways: dict[str, list[Record]] = {
            "to the end": list(reader.read_to_end([unreadable])),
            "of a stretch": list(reader.written_between([unreadable], EventMillis(NOW), EventMillis(NOW + 1))),
            "by position": list(reader.at(Position(unreadable, offset) for offset in range(count))),
            "followed": [],
        }
        while len(ways["followed"]) < count:
            ways["followed"] += [record for record in [next(follower)] if record is not None]
    finally:
        reader.close()
    for way, records in ways.items():
        assert [(record.key, record.value) for record in records] == count * [(b"key", PICTURE)], way
        assert [record.fault is None for record in records] == [True, *(count - 2) * [False], True], way
        expected = TIMES * [kept(headers) for headers in UNREADABLE.values()]
        assert [list(record.headers) for record in records[1:-1]] == expected, way
        assert all("the name of a header is not UTF-8" in str(record.fault) for record in records[1:-1]), way


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of unreadable records among good ones.

    Attributes:
        sent: key, headers and timestamp, by offset.
        after_replay: predictions once all dead letters have been replayed.
        ahead: by camera, what the worker counts of fast clocks.
        log: the lines of the worker.
    """

    sent: list[RawRecord]
    predictions: list[wire.PredictionMessage]
    letters: list[Record]
    after_replay: list[wire.PredictionMessage]
    ahead: dict[tuple[str, ...], float]
    log: list[dict[str, object]]
    listed: list[dict[str, object]]
    exported: int


@pytest.fixture(scope="module")
def outcome(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("unreadable")
    with stage(bootstrap_servers, partitions=1) as on:
        allow_any_timestamp(on)
        sent = list(records())
        for each in sent:
            send_raw(bootstrap_servers, on.frames, 0, [each])
        with WarmWorker(on.settings(), folder) as worker:
            worker.wait_until_ready()
            on.wait_until_done()
            predictions, letters = on.read_predictions(), on.read(on.dead_letters)
            listed = command(on, "deadletters", "list", "--json")
            command(on, "deadletters", "replay", "--go", "--rate", "1000", "--reason", "bad-header")
            expected = len(predictions) + len(UNREADABLE)
            wait_until(lambda: len(on.read_predictions()) == expected, "the replayed frames are predicted", every=0.2)
            after_replay, ahead = on.read_predictions(), worker.metrics("clock_ahead_frames_total")
            assert worker.stop() == 0
            log = worker.said()
        on.admin.delete_topics([replay_marks(on.dead_letters).name])
        exported = command(on, "export", str(folder / "out"), "--topic", on.frames, "--from", "2000-01-01", "--json")
        lines = [json.loads(line) for line in listed]
        yield Outcome(sent, predictions, letters, after_replay, ahead, log, lines, json.loads(exported[-1])["frames"])


def records() -> Iterator[RawRecord]:
    """Yield each bad record after a good one."""
    for headers in UNREADABLE.values():
        yield RawRecord(b"key", PICTURE, GOOD, NOW)
        yield RawRecord(b"key", PICTURE, headers, NOW)
    yield RawRecord(b"key", PICTURE, GOOD, NOW)
    yield RawRecord(b"fast", PICTURE, (), IN_FOUR_YEARS)
    yield RawRecord(b"fast", PICTURE, (), IN_FOUR_YEARS + 1)
    for headers in ODD.values():
        yield RawRecord(b"odd", b"", headers, NOW)
        yield RawRecord(b"odd", PICTURE, headers, NOW)
    # The header is right, whatever the record's timestamp is.
    yield RawRecord(b"old", PICTURE, (CAPTURED,), -1)
    yield RawRecord(b"old", PICTURE, (CAPTURED,), NOW // 1_000)
    yield RawRecord(b"old", PICTURE, (CAPTURED,), IN_FOUR_YEARS)
    yield RawRecord(b"old", PICTURE, (CAPTURED,), -5)


def allow_any_timestamp(on: Stage) -> None:
    """Let the topic take timestamps of the future, as brokers before Kafka 3.6 do."""
    entry = ConfigEntry("message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, on.frames, incremental_configs=[entry])
    on.admin.incremental_alter_configs([resource])[resource].result(30)


def command(on: Stage, *words: str) -> list[str]:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": on.servers, "VISION_WORKER_TOPICS__DEAD_LETTERS": on.dead_letters}
    done = CliRunner().invoke(app, list(words), env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def bad_offsets(outcome: Outcome) -> list[int]:
    def is_bad(each: RawRecord) -> bool:
        return each.key == b"fast" or each.value == b"" or each.headers in UNREADABLE.values()

    return [offset for offset, each in enumerate(outcome.sent) if is_bad(each)]


def test_the_partition_goes_on_and_every_good_frame_is_predicted(outcome: Outcome) -> None:
    good = [offset for offset in range(len(outcome.sent)) if offset not in bad_offsets(outcome)]

    assert sorted(each.frame.offset for each in outcome.predictions) == good


def test_what_cannot_be_read_is_a_dead_letter_that_keeps_the_rest(outcome: Outcome) -> None:
    reports = [wire.parse_dead_letter(letter) for letter in outcome.letters]

    assert [each.offset for each in reports] == bad_offsets(outcome)
    for letter, report in list(zip(outcome.letters, reports, strict=True))[: len(UNREADABLE)]:
        sent = outcome.sent[report.offset]
        assert (letter.key, letter.value) == (sent.key, sent.value)
        assert list(wire.original_headers(letter)) == kept(sent.headers)
        assert (report.reason, report.stage) == ("bad-header", "parse")
        assert "the name of a header is not UTF-8" in report.text


def test_odd_headers_are_kept_in_a_dead_letter(outcome: Outcome) -> None:
    letters = outcome.letters[-len(ODD) :]

    assert [wire.parse_dead_letter(letter).reason for letter in letters] == len(ODD) * ["empty"]
    assert [list(wire.original_headers(letter)) for letter in letters] == [kept(headers) for headers in ODD.values()]


def test_a_dead_letter_is_listed_with_the_camera_of_its_readable_header(outcome: Outcome) -> None:
    named = [dict(headers).get(b"camera-id", b"key") for headers in UNREADABLE.values()]

    assert [str(each["camera"]).encode() for each in outcome.listed if each["reason"] == "bad-header"] == named


def test_its_replay_is_predicted_as_of_its_camera(outcome: Outcome) -> None:
    replayed = outcome.after_replay[len(outcome.predictions) :]

    assert [each.frame.camera for each in replayed] == ["key", "door", "door", "door", "door"]
    assert {each.captured_at_ms for each in replayed} == {NOW}


def test_a_timestamp_of_the_future_is_a_dead_letter_and_its_camera_is_told_once(outcome: Outcome) -> None:
    reports = [wire.parse_dead_letter(letter) for letter in outcome.letters][len(UNREADABLE) :][:2]

    assert [(each.reason, each.timestamp) for each in reports] == [
        ("clock-ahead", IN_FOUR_YEARS),
        ("clock-ahead", IN_FOUR_YEARS + 1),
    ]
    assert all("hours ahead of the worker's clock" in each.text for each in reports)
    assert outcome.ahead == {("fast",): 2}
    assert [line["camera"] for line in outcome.log if str(line["event"]).startswith("the clock of")] == ["fast"]
    assert not any(each.window.late for each in outcome.predictions)


def test_an_export_writes_what_can_be_read(outcome: Outcome) -> None:
    # A stretch ends at the first record that is from long after it.
    until = next(offset for offset, each in enumerate(outcome.sent) if each.timestamp == IN_FOUR_YEARS)

    assert outcome.exported == until - len(UNREADABLE)
