"""Dead letters of a real worker in a real Kafka: listed, shown, and put back each once, whatever comes between."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from tests.kafka.conftest import MakeTopic
from tests.support.flow import Flow
from tests.support.pictures import JPEG, scene
from tests.support.workers import wait_until
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.adapters.kafka import KafkaAdmin, KafkaReader, KafkaSink, Topic
from worker.adapters.kafka.dead_letters import KafkaDeadLetters
from worker.cli import app
from worker.domain.errors import DeliveryFailed
from worker.domain.records import Headers, OutboundRecord, Record, TopicPartition
from worker.settings.topics import replay_marks

CUT = JPEG(scene(64, 48))[:-20]
ATTEMPT, REPLAYED_FROM = "dead-letter-attempt", "dead-letter-replayed-from"

BAD: list[tuple[int, bytes | None, bytes | None, Headers]] = [
    (0, b"gate", CUT, (("label", b"cat"), ("x", None), ("x", b"\xff"))),
    (1, b"gate", b"no \x1b picture", (("captured-at", b"1234567890123"),)),
    (1, None, b"", ()),
    (0, b"door", None, (("captured-at", b"soon"),)),
]
"""Partition, key, value and headers of frames that are all refused."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A source topic of bad frames, and the dead letters that a worker made of them."""

    servers: str
    sink: KafkaSink
    source: str
    letters: str

    @property
    def marks(self) -> str:
        return replay_marks(self.letters).name

    @property
    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.servers, "VISION_WORKER_TOPICS__DEAD_LETTERS": self.letters}

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[Record]:
        found = KafkaAdmin(self.servers, {}).topics([topic])
        reader = KafkaReader(self.servers, {"isolation.level": isolation, "fetch.wait.max.ms": 10})
        try:
            return sorted(
                reader.read_to_end([TopicPartition(t.name, n) for t in found.values() for n in range(t.partitions)]),
                key=lambda record: record.position,
            )
        finally:
            reader.close()

    def refuse(self, frames: list[Record]) -> None:
        """Let a worker refuse frames, and publish its dead letters."""
        made = Flow(frames, began=wall_clock()).run().dead_letters()
        assert len(made) == len(frames)
        self.sink.publish([replace(letter, topic=self.letters) for letter in made], {})

    def replayed(self, *, isolation: str = "read_committed") -> list[Record]:
        return [r for r in self.read(self.source, isolation=isolation) if REPLAYED_FROM in dict(r.headers)]

    def times_replayed(self) -> Counter[str]:
        """Count, by its place, how often each dead letter was put back."""
        return Counter((dict(each.headers)[REPLAYED_FROM] or b"").decode() for each in self.replayed())

    def open(self) -> KafkaDeadLetters:
        return KafkaDeadLetters(
            self.servers, {}, {}, topic=self.letters, marks=Topic(*replay_marks(self.letters)), writes=True
        )

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["deadletters", *words], env=self.environment)

    def replay(self, *words: str) -> list[str]:
        done = self.run("replay", "--rate", "1000", *words)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout.splitlines()

    def list(self, *words: str) -> list[dict[str, object]]:
        done = self.run("list", "--json", *words)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def sink(bootstrap_servers: str) -> Iterator[KafkaSink]:
    made = KafkaSink(bootstrap_servers, {})
    yield made
    made.close()


@pytest.fixture
def stage(bootstrap_servers: str, sink: KafkaSink, make_topic: MakeTopic) -> Iterator[Scene]:
    on = Scene(bootstrap_servers, sink, make_topic(2), make_topic(2))
    sink.publish([OutboundRecord(on.source, *frame) for frame in BAD], {})
    on.refuse(on.read(on.source))
    yield on
    if KafkaAdmin(bootstrap_servers, {}).topics([on.marks]):
        admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        admin.delete_topics([on.marks])[on.marks].result(30)


def by_content(records: list[Record]) -> Mapping[tuple[int, bytes | None, bytes | None], Record]:
    return {(r.position.partition.partition, r.key, r.value): r for r in records}


# ----- list and show


def test_a_list_names_every_dead_letter_and_counts_reasons(stage: Scene) -> None:
    listed = stage.run("list")
    lines = listed.stdout.splitlines()

    assert (listed.exit_code, listed.stderr, len(lines)) == (0, "", 1 + len(BAD) + 5)
    assert "\x1b" not in listed.stdout
    assert Counter(line.split()[1] for line in lines[-5:-1]) == Counter(
        ["truncated", "not-a-picture", "empty", "bad-header"]
    )


def test_a_list_for_programs_takes_filters(stage: Scene) -> None:
    letters = stage.list()

    assert Counter((each["camera"], each["reason"], each["bytes"]) for each in letters) == Counter(
        [
            ("gate", "truncated", len(CUT)),
            ("gate", "not-a-picture", 12),
            (f"{stage.source}-1", "empty", 0),
            ("door", "bad-header", 0),
        ]
    )
    assert {each["attempt"] for each in letters} == {1}
    assert {each["replayed"] for each in letters} == {False}
    assert len(stage.list("--camera", "gate", "--camera", "door")) == 3
    assert len(stage.list("--reason", "empty", "--reason", "truncated", "--camera", "gate")) == 1
    assert stage.list("--limit", "1") == letters[-1:]
    assert stage.list("--since", "1h") == letters
    assert stage.list("--until", "1h") == []
    assert stage.list("--since", "2100-01-01") == []


def test_one_dead_letter_is_shown_whole_and_its_picture_saved_once(stage: Scene, tmp_path: Path) -> None:
    (letter,) = stage.list("--reason", "truncated")
    file = tmp_path / "picture"
    shown = stage.run("show", str(letter["position"]), "--save", str(file))
    refused = stage.run("show", str(letter["position"]), "--save", str(file))

    assert shown.exit_code == 0, shown.output
    for text in ("label: cat\n", "x: none\n", "x: \\xff\n", "Traceback", f"{stage.source}[0]@0", "like .jpg"):
        assert text in shown.stdout
    assert file.with_suffix(".jpg").read_bytes() == CUT
    assert refused.exit_code == 1
    assert "exists already" in str(refused.exception)


def test_a_position_without_a_dead_letter_is_an_error(stage: Scene) -> None:
    for words in (["show", "0:99"], ["replay", "--position", "7:0"]):
        failed = stage.run(*words)
        assert failed.exit_code == 1
        assert f"no dead letter lies at {words[-1]}" in str(failed.exception)


def test_a_wrong_word_is_a_usage_error(stage: Scene) -> None:
    for words, text in (
        ("list --since soon", "'soon' is neither"),
        ("list --reason ugly", "not-a-picture"),
        ("show 17", "PARTITION:OFFSET"),
        ("replay --position 0:1 --camera gate", "leave out"),
    ):
        failed = stage.run(*words.split())
        assert failed.exit_code == 2
        assert text in failed.stderr


def test_a_topic_that_is_not_there_is_named(bootstrap_servers: str, sink: KafkaSink) -> None:
    failed = Scene(bootstrap_servers, sink, "none", "no-such-topic").run("list")

    assert failed.exit_code == 1
    assert "topic 'no-such-topic' does not exist" in str(failed.exception)


# ----- replay


def test_without_go_nothing_is_sent_and_nothing_made(stage: Scene) -> None:
    assert stage.replay("--rate", "2")[-1] == "Would replay 4 dead letters, in 2 s or more; --go replays them."
    assert stage.replayed() == []
    assert KafkaAdmin(stage.servers, {}).topics([stage.marks]) == {}


def test_frames_return_as_they_were(stage: Scene) -> None:
    frames = by_content(stage.read(stage.source))
    places = {f"{stage.letters}/{str(each['position']).replace(':', '/')}" for each in stage.list()}

    assert stage.replay("--go")[-1] == "Replayed 4 of 4 dead letters."

    replayed = stage.replayed()
    assert by_content(replayed).keys() == frames.keys()
    assert set(stage.times_replayed()) == places
    for content, record in by_content(replayed).items():
        original, ours = frames[content], dict(record.headers)
        assert ours[ATTEMPT] == b"1"
        assert wire.original_headers(record)[: len(original.headers)] == original.headers
        assert ours["captured-at"] == dict(original.headers).get("captured-at", str(original.timestamp).encode())


def test_each_is_sent_once_unless_asked_for_again(stage: Scene) -> None:
    (one,) = stage.list("--reason", "truncated")

    assert stage.replay("--go", "--position", str(one["position"]))[-1] == "Replayed 1 of 1 dead letters."
    assert [each["position"] for each in stage.list() if each["replayed"]] == [one["position"]]
    assert stage.replay("--go")[-2:] == [
        "     1  replayed already and skipped; --again replays them too",
        "Replayed 3 of 3 dead letters.",
    ]
    assert stage.replay("--go")[-1] == "Nothing to replay."
    assert set(stage.times_replayed().values()) == {1}
    assert stage.replay("--go", "--again", "--reason", "truncated")[-1] == "Replayed 1 of 1 dead letters."
    assert sorted(stage.times_replayed().values()) == [1, 1, 1, 2]


def test_what_is_refused_again_is_a_dead_letter_of_a_higher_attempt(stage: Scene) -> None:
    stage.replay("--go")
    stage.refuse(stage.replayed())

    assert Counter((each["attempt"], each["replayed"]) for each in stage.list()) == {(1, True): 4, (2, False): 4}
    assert stage.replay("--go")[-1] == "Replayed 4 of 4 dead letters."
    assert set(stage.times_replayed().values()) == {1}


def test_a_replay_that_was_killed_half_way_goes_on_with_the_rest(stage: Scene) -> None:
    command = [sys.executable, "-m", "worker", "deadletters", "replay", "--go", "--rate", "2"]
    with subprocess.Popen(command, env=os.environ | stage.environment, stdout=subprocess.PIPE) as killed:
        wait_until(lambda: killed.poll() is not None or stage.replayed() != [], "a frame is back")
        killed.kill()
    before = stage.times_replayed()

    assert killed.returncode == -9
    assert 1 <= before.total() < len(BAD)
    rest = len(BAD) - before.total()
    assert stage.replay("--go")[-1] == f"Replayed {rest} of {rest} dead letters."
    assert sorted(stage.times_replayed().values()) == [1] * len(BAD)


def test_a_frame_that_was_sent_and_not_marked_is_sent_once(stage: Scene) -> None:
    """Killed between the two writes: the broker holds the frame, in a transaction that nobody ends."""
    with stage.open() as letters:
        letter = next(letters.read())
        name = letters._writer._name if letters._writer else ""
    frame = wire.render_replay(letter)
    producer = Producer({"bootstrap.servers": stage.servers, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    headers: dict[str, str | bytes | None] = dict(frame.headers)
    producer.produce(frame.topic, frame.value, frame.key, partition=frame.partition or 0, headers=headers)
    wait_until(lambda: producer.flush(0.1) == 0, "the frame lies in Kafka")
    assert len(stage.replayed(isolation="read_uncommitted")) == 1

    assert stage.replay("--go")[-1] == "Replayed 4 of 4 dead letters."
    assert set(stage.times_replayed().values()) == {1}
    assert len(stage.replayed(isolation="read_uncommitted")) == 5


def test_of_two_replays_at_once_the_first_ends(stage: Scene) -> None:
    with stage.open() as first:
        letters = list(first.read())
        first.put_back(letters[0])
        with stage.open() as second:
            assert len(second.marks()) == 1
            with pytest.raises(DeliveryFailed, match="another producer with this name has taken over"):
                first.put_back(letters[1])
            second.put_back(letters[1])

    assert sorted(stage.times_replayed().values()) == [1, 1]


def test_a_source_that_is_gone_stops_before_anything_is_sent(stage: Scene, make_topic: MakeTopic) -> None:
    smaller = make_topic(1)
    letter = next(each for each in stage.read(stage.letters) if wire.parse_dead_letter(each).partition == 1)
    headers = dict(letter.headers) | {"__streams.errors.topic": smaller.encode()}
    stage.sink.publish([OutboundRecord(stage.letters, 0, letter.key, letter.value, tuple(headers.items()))], {})
    failed = stage.run("replay", "--go")

    assert failed.exit_code == 1
    assert f"frames came from {smaller}[1], which does not exist" in str(failed.exception)
    assert stage.replayed() == []
