"""Messages as lines for people."""

import msgspec

from tests.support.frames import a_frame
from tests.support.messages import after_steps, classified, clip, detected, embedded, frame_value, segmented
from worker import wire
from worker.cli.tail import Kind, as_document, as_line
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.results import HitCounts, ModelIdentity
from worker.domain.samples import Skipped
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis


def read(message: wire.Message) -> Record:
    position = Position(TopicPartition("predictions", 0), 0)
    return Record(position, b"street", msgspec.json.encode(message), (), EventMillis(0))


def line(message: wire.Message) -> str:
    return as_line(Kind.PREDICTIONS, read(message))


def skipped() -> Record:
    frame = a_frame(17, partition=2, captured_at=3_661_007, camera="street").frame
    sent = wire.render_skipped("skipped", Skipped(frame, "over-rate"), published_at=EventMillis(0))
    return Record(Position(TopicPartition("skipped", 2), 0), sent.key, sent.value, sent.headers, EventMillis(0))


def test_a_frames_best_class_has_a_line_with_whether_it_is_right() -> None:
    assert line(classified(0, "cat", "dog")) == "  street           cat                       50.0%       0 ms"
    assert line(classified(0, "cat", label="cat", right=True)).startswith("+ street ")
    assert line(classified(0, "cat", label="dog", right=False)).endswith("  label dog")
    assert line(classified(0, "cat", label="dog", right=False)).startswith("- street ")


def test_a_clips_line_says_its_time_its_best_classes_and_how_many_frames_were_there() -> None:
    assert line(clip(0, 15, "run", "walk", "jump", "sit", used=14)) == (
        "  street           run                       50.0%       0 ms"
        "  00:00:00.000 to 00:00:00.600, 14 of 16 frames, else walk 25.0%, jump 12.5%"
    )
    assert line(clip(0, 15, "run")).endswith("16 of 16 frames")
    assert "  label walk  00:00" in line(clip(0, 15, "run", label="walk", right=False))


def test_the_line_of_a_recurrent_model_says_how_many_frames_it_remembers() -> None:
    assert line(after_steps(0, 3, "wave", "calm")) == (
        "  street           wave                      50.0%       0 ms  after 3 frames"
    )
    assert line(after_steps(0, 1, "wave", label="wave", right=True)).endswith("  label wave  after 1 frame")


def test_the_value_of_a_frame_is_only_said_and_an_event_stands_out() -> None:
    quiet, begins, goes_on = (
        line(each) for each in (frame_value(1, 0.0625), frame_value(2, 0.9375, event="cut"), frame_value(3, 0.5))
    )

    assert quiet == "  street                                    0.062 <  0.500       0 ms"
    assert begins == "  street           *** cut ***              0.938 >= 0.500       0 ms"
    assert "*" not in goes_on


def test_a_detectors_line_says_how_many_of_what_and_how_that_compares() -> None:
    sides = (0.0, 0.0, 1.0, 1.0)
    two = detected(
        0, (1, "cup", 0.9, sides), (1, "cup", 0.8, sides), (2, "fork", 0.7, sides), truth=[], correct=(0, 1, 3)
    )

    assert line(two) == (
        "  street           2 cup, 1 fork                         0 ms  0 of 1 true boxes found, 3 false alarms"
    )
    assert line(detected(0)) == "  street           nothing found                         0 ms"


def test_areas_and_vectors_have_a_line() -> None:
    assert line(segmented(0, (0, "sky", 0.75), (8, "cat", 0.25))) == (
        "  street           sky 75.0%, cat 25.0%                  0 ms"
    )
    assert line(embedded(0, 1.0, 2.0)) == "  street           2 numbers                             0 ms"


def test_the_accuracy_of_a_detector_has_a_line() -> None:
    key = TallyKey(TopicPartition("frames", 0), "street", ModelIdentity("d", "0123456789ab"))
    tally = Tally(key, EventMillis(0), seen=9, labelled=4, boxes=HitCounts(3, 1, 0))
    sent = wire.render_accuracy("accuracy", tally, published_at=EventMillis(0))
    record = Record(Position(TopicPartition("accuracy", 0), 0), sent.key, sent.value, (), EventMillis(0))

    assert as_line(Kind.ACCURACY, record) == (
        "street           precision 100.0%, recall 75.0%: 3 hits, 1 misses, 0 false alarms in 4 labelled, 9 seen  "
        "d@0123456789ab"
    )


def test_a_skipped_frames_line_says_why_which_and_when() -> None:
    assert as_line(Kind.SKIPPED, skipped()) == "over-rate      street           01:01:01.007  frames[2]@17"


def test_programs_get_a_message_as_it_is() -> None:
    assert msgspec.json.encode(as_document(Kind.SKIPPED, skipped())) == skipped().value
    value = read(frame_value(1, 0.25)).value
    assert msgspec.json.encode(as_document(Kind.PREDICTIONS, read(frame_value(1, 0.25)))) == value
