"""What a person reads about predictions without labels, in 80 columns."""

import io
from collections.abc import Sequence

import msgspec
import pytest
from rich.console import Console, Group

from tests.support.messages import (
    after_steps,
    classified,
    clip,
    detected,
    embedded,
    envelope,
    frame_value,
    segmented,
)
from worker import wire
from worker.evaluation.overview import EXAMPLES, MOST, overview_of
from worker.wire.prediction_fields import ClassField


def shown(messages: Sequence[wire.Message]) -> list[str]:
    """Return lines without the spaces at their ends and with one space for several."""
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(Group(*overview_of(messages)), markup=False)
    assert max(len(line) for line in file.getvalue().splitlines()) <= 80
    return [" ".join(line.split()) for line in file.getvalue().splitlines() if line.strip()]


def sure(offset: int, name: str, probability: float) -> wire.PredictionMessage:
    return msgspec.structs.replace(classified(offset), classes=[ClassField(0, name, probability)])


def test_classes_are_counted_and_the_surest_and_least_sure_frames_named() -> None:
    messages = [sure(number, "cat" if number % 3 else "dog", 0.9 - number / 20) for number in range(12)]

    assert shown(messages) == [
        *("predicted classes", "class frames mean probability", "cat 8 0.600", "dog 4 0.675"),
        *("surest", "frame predicted probability"),
        *("frame-0 dog 0.900", "frame-1 cat 0.850", "frame-2 cat 0.800", "frame-3 dog 0.750", "frame-4 cat 0.700"),
        *("least sure", "frame predicted probability"),
        *("frame-11 cat 0.350", "frame-10 cat 0.400", "frame-9 dog 0.450", "frame-8 cat 0.500", "frame-7 cat 0.550"),
    ]


def test_a_few_frames_are_named_once() -> None:
    lines = shown([sure(number, "cat", number / 10) for number in range(EXAMPLES)])

    assert lines[3:] == ["predictions", "frame predicted probability"] + [
        f"frame-{number} cat 0.{number}00" for number in reversed(range(EXAMPLES))
    ]


def test_most_frequent_classes_come_first_and_others_are_left_out() -> None:
    lines = shown([sure(number, f"class-{number // 2}", 0.5) for number in range(2 * MOST + 3)])

    assert lines[0] == f"the {MOST} most frequent of {MOST + 2} predicted classes"
    assert lines.index("surest") == 2 + MOST


def test_clips_are_named_by_their_first_and_last_frame() -> None:
    lines = shown([clip(0, 15, "run"), clip(16, 31, "walk")])

    assert lines[1] == "class clips mean probability"
    assert "frame-16 to frame-31 walk 0.500" in lines


def test_a_recurrent_model_is_told_like_others() -> None:
    assert "calm 2 0.500" in shown([after_steps(0, 1, "calm"), after_steps(1, 2, "calm")])


def test_named_classes_are_counted() -> None:
    def named(offset: int, *names: str) -> wire.MultiLabelMessage:
        found = [ClassField(0, "red", 0.75), ClassField(1, "blue", 0.5)]
        return wire.MultiLabelMessage(named=list(names), classes=found, **envelope(offset))

    assert shown([named(0, "red", "blue"), named(1, "red"), named(2)]) == [
        *("named classes", "class frames mean probability", "red 2 0.750", "blue 1 0.500"),
        "frames without any class: 1",
    ]


def test_objects_are_counted_by_class() -> None:
    def box(name: str, score: float) -> tuple[int, str, float, tuple[float, float, float, float]]:
        return 1, name, score, (0.0, 0.0, 1.0, 1.0)

    lines = shown(
        [
            detected(0, box("car", 0.5), box("car", 0.75), correct=(1, 2, 1)),
            detected(1, box("car", 0.25), box("person", 1.0), correct=(2, 0, 0)),
            detected(2),
        ]
    )

    assert lines == [
        *("objects", "class objects frames mean score", "car 3 2 0.500", "person 1 1 1.000"),
        "frames without any object: 1",
        "boxes compared with true ones: 3 hits, 2 misses, 1 false alarms",
    ]


def test_areas_are_told_by_class() -> None:
    lines = shown([segmented(0, (0, "sky", 0.5), (1, "road", 0.5)), segmented(1, (0, "sky", 1.0))])

    assert lines == ["classes", "class frames mean share", "sky 2 0.750", "road 1 0.500"]


@pytest.mark.parametrize("events", [0, 2, MOST + 1])
def test_events_are_listed_with_their_time(events: int) -> None:
    messages = [frame_value(number, 0.9 if number % 2 else 0.1) for number in range(60)]
    for number in range(events):
        messages[2 * number + 1] = frame_value(2 * number + 1, 0.9, event="cut")
    lines = shown(messages)

    assert lines[0] == "values from 0.100 to 0.900; the threshold is 0.5"
    if not events:
        assert lines[1:] == ["no event: no value reaches the threshold after one below it"]
        return
    assert lines[1] == (f"{events} events" if events <= MOST else f"the first {MOST} of {events} events")
    assert lines[3:5] == ["cut frame-1 00:00:00.040 0.900", "cut frame-3 00:00:00.120 0.900"]
    assert len(lines) == 3 + min(events, MOST)


def test_vectors_are_counted() -> None:
    assert shown([embedded(0, 0.1, 0.2, 0.3)] * 2) == ["2 vectors of 3 numbers"]
