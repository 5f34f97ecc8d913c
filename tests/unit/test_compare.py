"""What `tests.compare` makes of two commits' output: masks, differences, and what is said of them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tests.benchmarks.path import Cost, Function, as_table
from tests.compare import replay, speed
from tests.compare.checkout import REPOSITORY, Checkout, CommandFailed
from tests.compare.cost import total_of
from tests.compare.lines import Difference, compare_lines, masked
from tests.support.frames import MODEL, a_frame, a_prediction, a_record
from worker import wire
from worker.domain.errors import Reason
from worker.domain.records import TopicPartition
from worker.domain.results import DeadLetter
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis

PLACE = 'File "/tmp/{tree}/worker/{module}.py", line {line}, in decode'


def a_line(kind: str, content: Any) -> str:
    return msgspec.json.encode({kind: content}).decode()


def prediction(offset: int = 0, published_at: int = 9, **changes: Any) -> str:
    sent = wire.render_prediction("out", a_prediction(a_frame(offset)), published_at=EventMillis(published_at))
    return a_line("prediction", json.loads(sent.value or b"") | changes)


def dead_letter(tree: str = "tree-1", module: str = "images", version: str = "1.0", text: str = "cut short") -> str:
    stack = (
        f'Traceback\n  {PLACE.format(tree=tree, module=module, line=len(module))}\n    found = decode("x")\n{text}\n'
    )
    letter = DeadLetter(
        a_record(),
        Reason.TRUNCATED,
        stage="decode",
        error="E",
        text=text,
        stack=stack,
        camera="c",
        arrived_at=EventMillis(1),
    )
    sent = wire.render_dead_letter("out", letter, worker_version=version)
    return a_line("dead_letter", wire.parse_dead_letter(a_record(headers=sent.headers)))


def tally(seen: int = 4, since: int = 5, published_at: int = 9) -> str:
    key = TallyKey(TopicPartition("frames", 0), "cam-1", MODEL)
    counted = Tally(key, EventMillis(since), seen, labelled=4, correct_top1=3, correct_top5=4, next_offset=7)
    sent = wire.render_accuracy("out", counted, published_at=EventMillis(published_at))
    return a_line("accuracy", json.loads(sent.value or b""))


def test_times_by_a_clock_the_version_and_places_in_files_are_masked() -> None:
    slower = {"gather": 1e-05, "decode": 12, "classify": 3.5}

    assert masked(prediction()) == masked(prediction(published_at=77, arrived_at_ms=78, seconds=slower))
    assert masked(tally()) == masked(tally(published_at=77))
    assert masked(dead_letter()) == masked(dead_letter(tree="tree-22", module="media/images", version="2.0"))


@pytest.mark.parametrize(
    ("line", "other"),
    [
        (prediction(), prediction(captured_at_ms=2)),
        (prediction(), prediction(seconds={"gather": 0.5, "decode": 0.001})),
        (prediction(label='"published_at_ms":1'), prediction(label='"published_at_ms":2')),
        (prediction(label='"seconds":{"a":1}'), prediction(label='"seconds":{"a":2}')),
        (dead_letter(), dead_letter(text="no picture")),
        (dead_letter(text=PLACE.format(tree="a", module="b", line=1)), dead_letter(text=PLACE)),
        (tally(since=5), tally(since=6)),
    ],
)
def test_all_else_stays(line: str, other: str) -> None:
    assert masked(line) != masked(other)


def test_a_masked_line_is_json_still() -> None:
    for line in (prediction(), dead_letter(), tally()):
        assert json.loads(masked(line)).keys() == json.loads(line).keys()
    assert json.loads(masked(prediction()))["prediction"]["seconds"] == {"gather": "*", "decode": "*", "classify": "*"}


def test_a_difference_names_its_field_and_both_values() -> None:
    classes = [{"index": 3, "name": "cat", "probability": 0.5}, {"index": 1, "name": "dog", "probability": 0.25}]
    after = prediction(1, classes=classes, label="cat")

    found = compare_lines([prediction(0), prediction(1)], [prediction(0), after])

    assert found.different == {
        2: [
            Difference("$.prediction.classes[0].probability", "0.75", "0.5"),
            Difference("$.prediction.label", "null", '"cat"'),
        ]
    }
    assert found.fields() == {"$.prediction.classes[].probability": 1, "$.prediction.label": 1}
    assert found.before == found.after == {"prediction": 2}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('{"a":{"b":1}}', '{"a":{"c":1}}', [Difference("$.a.b", "1", None), Difference("$.a.c", None, "1")]),
        ('{"a":[]}', '{"a":[1]}', [Difference("$.a", "[]", None), Difference("$.a[0]", None, "1")]),
        ('{"a":0.10}', '{"a":0.1}', [Difference("$.a", "0.10", "0.1")]),
        ('{"a":1}', '{"a":"1"}', [Difference("$.a", "1", '"1"')]),
        ('{"a":{"b":1,"c":2}}', '{"a":{"c":2,"b":1}}', [Difference("$", '{"a":{"b":1,"c":2}}', '{"a":{"c":2,"b":1}}')]),
        ('{"a":"ü"}', '{"a":"\\u00fc"}', [Difference("$", '{"a":"ü"}', '{"a":"\\u00fc"}')]),
    ],
)
def test_any_other_byte_is_a_difference(before: str, after: str, expected: list[Difference]) -> None:
    assert compare_lines([before], [after]).different == {1: expected}


def test_a_missing_line_is_a_difference() -> None:
    assert compare_lines([tally()], []).different == {1: [Difference("$", masked(tally()), None)]}
    assert compare_lines([], [tally()]).different == {1: [Difference("$", None, masked(tally()))]}


def test_what_is_allowed_is_left_out_and_counted() -> None:
    window = {"start_ms": 0, "end_ms": 1, "closed_by": "size", "late": True}
    before = [prediction(0), prediction(1), prediction(2)]
    after = [prediction(0), prediction(1, window=window), prediction(2, window=window, label="cat")]

    found = compare_lines(before, after, frozenset({"window"}))

    assert found.different == {3: [Difference("$.prediction.label", "null", '"cat"')]}
    assert found.allowed == 1
    late = compare_lines(
        before[:1], [prediction(0, window=json.loads(before[0])["prediction"]["window"] | {"late": True})]
    )
    assert late.different == {1: [Difference("$.prediction.window.late", "false", "true")]}


def test_lines_may_change_places_if_that_is_allowed() -> None:
    before = [prediction(0), prediction(1), dead_letter(), tally()]
    after = [dead_letter(), prediction(0), prediction(1), tally()]

    strict, loose = compare_lines(before, after), compare_lines(before, after, frozenset({"order"}))

    assert set(strict.different) == {1, 2, 3}
    assert (loose.different, loose.allowed) == ({}, 3)


def test_lines_that_change_places_are_compared_with_those_about_the_same() -> None:
    before, after = (
        [prediction(0), prediction(1), prediction(2)],
        [prediction(2), prediction(1, label="cat"), prediction(3)],
    )

    found = compare_lines(before, after, frozenset({"order"}))

    assert found.different == {
        1: [Difference("$", masked(prediction(0)), None)],
        2: [Difference("$.prediction.label", "null", '"cat"')],
        4: [Difference("$", None, masked(prediction(3)))],
    }
    assert found.allowed == 1


def test_a_line_that_comes_twice_is_a_difference_in_any_order() -> None:
    found = compare_lines([prediction(0)], [prediction(0), prediction(0)], frozenset({"order"}))

    assert found.different == {2: [Difference("$", None, masked(prediction(0)))]}


def test_a_summary_counts_and_shows_the_first_differences() -> None:
    before, after = [prediction(each) for each in range(5)], [prediction(each, label="cat") for each in range(4)]

    assert replay.summary(compare_lines(before, before), frozenset()) == (
        "5 lines (predictions 5, dead letters 0, tallies 0): equal"
    )
    shown = replay.summary(compare_lines(before, after), frozenset({"late", "order"})).splitlines()
    counts = [f"{each} lines (predictions {each}, dead letters 0, tallies 0)" for each in (5, 4)]
    assert shown[:3] == [
        f"{counts[0]} before, {counts[1]} after: 5 lines differ",
        "  0 lines differ only by late, order",
        "  fields that differ: $.prediction.label (4), $ (1)",
    ]
    assert shown[3:6] == ["  line 1: $.prediction.label", "    - null", '    + "cat"']
    assert len(shown) == 3 + 3 * 3


def test_a_long_value_is_shortened() -> None:
    assert str(Difference("$.a", "x" * 1000, None)) == f"$.a\n  - {'x' * 160}… (1000 characters)"


def test_a_summary_of_pairs_has_their_ratios_and_the_median() -> None:
    assert speed.summary("frames/s", [100.0, 200.0, 50.0], [101.0, 190.0, 50.0]) == [
        "frames/s:",
        "  pair 1: 100 before, 101 after, ratio 1.010",
        "  pair 2: 200 before, 190 after, ratio 0.950",
        "  pair 3: 50 before, 50 after, ratio 1.000",
        "  median ratio 1.000 (0.950 to 1.010)",
    ]


def test_the_total_is_read_from_the_table_that_is_printed() -> None:
    costs: Mapping[Function, Cost] = {
        Function("worker.all", "all"): Cost(1, 20.5, 3),
        Function("worker.wire", "parse_frame"): Cost(2, 1000, 0.25),
    }
    console = Console(width=120)
    with console.capture() as shown:
        console.print(as_table(costs, rows=1))

    assert total_of(shown.get()) == Cost(3, 1020.5, 3.25)
    assert total_of("Traceback: all 3 went wrong") is None


def test_a_commit_runs_its_own_code_wherever_it_is_started(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").touch()
    checkout = Checkout("before", "0" * 40, tmp_path)

    checkout.check()
    ran = subprocess.run(
        [sys.executable, "-c", "import worker; print(worker.__file__)"],
        cwd=REPOSITORY,
        env=dict(checkout.environment),
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path)


def test_a_commit_that_would_run_other_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"before would run .*worker/__init__\.py"):
        Checkout("before", "0" * 40, tmp_path).check()


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()

    with pytest.raises(CommandFailed, match="ended with status 3:\nno wonder"):
        Checkout("after", "0" * 40, tmp_path).python("-c", "import sys; sys.stderr.write('no wonder'); sys.exit(3)")
