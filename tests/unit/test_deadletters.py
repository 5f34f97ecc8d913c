"""Dead letters chosen, counted and written back, without a broker."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.frames import a_record
from tests.support.pictures import ENCODERS, JPEG, PNG, scene
from tests.support.schemas import check_headers
from worker import wire
from worker.app.dead_letters import (
    Count,
    Selection,
    counts,
    entry_of,
    place,
    position_of,
    printable,
    suffix,
    survey,
)
from worker.cli.deadletters import as_table
from worker.domain.errors import ImageUndecodable, Reason
from worker.domain.records import Headers, OutboundRecord, Position, Record, TopicPartition
from worker.domain.results import dead_letter
from worker.domain.times import EventMillis, Monotonic
from worker.views.moments import age, iso, moment

NOW = EventMillis(1_700_000_000_000)
LETTERS = TopicPartition("dead-letters", 0)
CAPTURED = 1_650_000_000_000


def refused(record: Record, reason: Reason = Reason.TRUNCATED) -> OutboundRecord:
    """Return the dead letter that a worker writes."""
    error = ImageUndecodable(reason, "cut short")
    letter = dead_letter(record, stage="decode", error=error, arrived_at=NOW, camera=wire.camera_of(record))
    return wire.render_dead_letter(LETTERS.topic, letter, worker_version="1")


def received(sent: OutboundRecord, offset: int, at: int = NOW) -> Record:
    position = Position(TopicPartition(sent.topic, sent.partition or 0), offset)
    return Record(position, sent.key, sent.value, sent.headers, EventMillis(at))


def a_letter(
    offset: int, *, reason: Reason = Reason.TRUNCATED, camera: str = "cam-1", at: int = NOW, headers: Headers = ()
) -> Record:
    frame = a_record(100 + offset, partition=2, key=camera.encode(), headers=headers, timestamp=CAPTURED)
    return received(refused(frame, reason), offset, at)


def marks_of(*letters: Record) -> dict[bytes | None, bytes | None]:
    return {mark.key: mark.value for mark in (wire.render_mark("marks", letter) for letter in letters)}


FOUR = [
    a_letter(0, at=NOW - 3_000),
    a_letter(1, at=NOW - 1_000, reason=Reason.EMPTY),
    a_letter(2, at=NOW - 2_000, camera="cam-2"),
    a_letter(3, at=NOW),
]


def offsets(wanted: Selection, letters: Sequence[Record] = FOUR) -> list[int]:
    return [entry.position.offset for entry in survey(letters, wanted, {}).entries]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(), [0, 2, 1, 3]),
        (Selection(reasons=frozenset({Reason.EMPTY})), [1]),
        (Selection(reasons=frozenset({Reason.EMPTY, Reason.TRUNCATED})), [0, 2, 1, 3]),
        (Selection(cameras=frozenset({"cam-2", "cam-3"})), [2]),
        (Selection(since=EventMillis(NOW - 2_000), until=NOW), [2, 1]),
        (Selection(positions=frozenset({Position(LETTERS, 3), Position(LETTERS, 9)})), [3]),
        (Selection(limit=2), [1, 3]),
        (Selection(limit=9), [0, 2, 1, 3]),
        (Selection(reasons=frozenset({Reason.TRUNCATED}), cameras=frozenset({"cam-1"}), limit=1), [3]),
    ],
)
def test_a_selection_takes_what_is_asked_for_oldest_first(wanted: Selection, found: list[int]) -> None:
    assert offsets(wanted) == found


def test_an_entry_says_what_was_wrong_with_which_frame() -> None:
    entry = entry_of(a_letter(7), {})

    assert (place(entry.position), str(entry.source), entry.camera) == ("0:7", "frames[2]@107", "cam-1")
    assert (entry.reason, entry.stage, entry.text, entry.attempt) == ("truncated", "decode", "cut short", 1)
    assert (entry.refused_at, entry.size, entry.replayed) == (NOW, len(b"picture"), False)


def test_a_frame_without_a_key_is_of_the_camera_its_own_partition_is_called() -> None:
    letter = received(refused(a_record(key=None, partition=4)), 0)

    assert entry_of(letter, {}).camera == "frames-4"


def test_records_of_others_are_named_and_passed_over() -> None:
    strange = replace(FOUR[0], headers=(("some", b"header"),), position=Position(LETTERS, 8))
    found = survey([strange, *FOUR], Selection(), {})

    assert found.strangers == [Position(LETTERS, 8)]
    assert len(found.entries) == 4


def test_reasons_are_counted_with_what_was_replayed() -> None:
    entries = survey(FOUR, Selection(), marks_of(FOUR[0], FOUR[1])).entries

    assert counts(entries) == [Count("truncated", 3, 1), Count("empty", 1, 1)]


def test_a_mark_is_of_one_dead_letter_and_not_of_a_topic_made_anew() -> None:
    marks = marks_of(FOUR[0])
    anew = replace(FOUR[0], timestamp=EventMillis(FOUR[0].timestamp + 1))

    assert [entry_of(letter, marks).replayed for letter in FOUR] == [True, False, False, False]
    assert not entry_of(anew, marks).replayed
    assert not entry_of(FOUR[0], marks | dict.fromkeys(marks)).replayed  # a tombstone takes the mark back


def test_a_replay_is_the_frame_where_it_was_with_what_it_came_with() -> None:
    headers: Headers = (("label", b"cat"), ("x", None), ("x", b"\xff"), ("captured-at", b"123"))
    letter = a_letter(7, headers=headers)
    sent = wire.render_replay(letter)

    assert (sent.topic, sent.partition, sent.key, sent.value) == ("frames", 2, b"cam-1", b"picture")
    assert sent.headers[:-2] == headers
    assert dict(sent.headers[-2:]) == {
        "dead-letter-attempt": b"1",
        "dead-letter-replayed-from": b"dead-letters/0/7",
    }


@pytest.mark.parametrize("headers", [(), (("captured-at", None),)])
def test_a_frame_that_did_not_say_when_it_was_taken_keeps_the_time_it_had(headers: Headers) -> None:
    replayed = received(wire.render_replay(a_letter(0, headers=headers)), 5)
    frame = wire.parse_frame(replayed, arrived_at=NOW, arrived=Monotonic(0.0))

    assert frame.frame.captured_at == CAPTURED
    check_headers("frame", tuple(each for each in replayed.headers if each[1] is not None))


def test_a_frame_that_is_refused_again_says_so_and_can_be_replayed_again() -> None:
    first = a_letter(7, headers=(("label", b"cat"),))
    second = received(refused(received(wire.render_replay(first), 50)), 8)
    third = wire.render_replay(second)

    assert check_headers("dead-letter", second.headers)["dead-letter-replayed-from"] == "dead-letters/0/7"
    assert entry_of(second, marks_of(first)).attempt == 2
    assert not entry_of(second, marks_of(first)).replayed
    assert dict(third.headers)["dead-letter-replayed-from"] == b"dead-letters/0/8"
    assert dict(third.headers)["dead-letter-attempt"] == b"2"
    assert len(third.headers) == len(dict(third.headers))
    assert wire.original_headers(second) == (("label", b"cat"), ("captured-at", str(CAPTURED).encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90_000),
        ("30m", NOW - 1_800_000),
        ("2h", NOW - 7_200_000),
        ("7d", NOW - 604_800_000),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-15T00:13:20.5+02:00", NOW + 500),
        ("2023-11-14", 1_699_920_000_000),
    ],
)
def test_a_time_is_iso_or_an_age(text: str, expected: int) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "2 h", "2w", "-1h", "12:00"])
def test_another_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a time such as .* nor an age such as 30m"):
        moment(text, NOW)


def test_a_place_is_read_as_it_is_written() -> None:
    position = Position(TopicPartition("dead-letters", 3), 17)

    assert position_of(place(position), "dead-letters") == position
    for text in ("17", "3:", "3:-1", "a:b", "3:1:2"):
        with pytest.raises(ValueError, match="is not PARTITION:OFFSET"):
            position_of(text, "dead-letters")


def test_ages_and_times_are_short() -> None:
    spans = [-5, 0, 59_999, 60_000, 7_199_999, 200_000_000]

    assert [age(EventMillis(NOW - span), NOW) for span in spans] == ["0s", "0s", "59s", "1m", "1h", "2d"]
    assert iso(EventMillis(NOW + 7)) == "2023-11-14 22:13:20.007+00:00"


def test_a_picture_is_named_after_what_it_is() -> None:
    pixels = scene(8, 8)
    pictures = [JPEG(pixels)[:9], PNG(pixels), ENCODERS["webp lossy"](pixels), b"GIF89a", b"text", b""]

    assert [suffix(each) for each in pictures] == [".jpg", ".png", ".webp", ".gif", ".bin", ".bin"]


def test_a_terminal_is_shown_no_control_characters() -> None:
    assert printable("Tür\x1b[2J\n") == r"Tür\x1b[2J\n"


def test_a_table_has_a_line_each_in_columns() -> None:
    head, first, *rest = as_table([entry_of(letter, {}) for letter in FOUR], NOW)

    assert first.split() == [
        "0:0", "cam-1", "truncated", "decode", "3s", "7", "1", "frames[2]@100", "no", "cut", "short",
    ]  # fmt: skip
    assert {line.index("decode") for line in (first, *rest)} == {head.index("stage")}
    assert len(as_table([], NOW)) == 1
