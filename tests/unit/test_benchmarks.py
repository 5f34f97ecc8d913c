"""The bench's own sums: rates, rounds, ratios, and what is written of them."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import count
from pathlib import Path

import pytest

from tests.benchmarks.cores import BROKER, CLIENT, LOOP, MODEL, Cores, Moment, Shares, Task, Used, moment, shares
from tests.benchmarks.limit import BareLoop, EqualCalls, candidates
from tests.benchmarks.measure import Spread, alternate, best_of, percentiles, rate, ratio, spans
from tests.benchmarks.models import TimedModel
from tests.benchmarks.outcome import Bars, Lines, Outcome, Table
from tests.benchmarks.parts.gap import Spent
from tests.benchmarks.profiles import Settings, model_settings, what_tuning_chose
from tests.benchmarks.report import TARGETS, as_json, as_markdown, write
from tests.benchmarks.svg import draw
from tests.support.tints import write_tints_model
from worker.models.container import cores


def an_outcome() -> Outcome:
    return Outcome(
        "Light & fast",
        "What was measured.",
        [Table(("contestant", "frames/s"), [["ours", "12.0"]])],
        {"over_per_message": Spread(8.0, 7.5, 8.25), "over_untuned": Spread(2.0, 1.0, 3.0)},
        [
            Bars("bars", "Light & fast", "frames/s", {"<ours>": 12.0, "none": 0.0}),
            Lines("lines", "Latency", "ms", "%", [20, 50, 80], {"p50": [1, 2, 3], "p99": [4.5, 5, 60]}),
        ],
    )


def test_a_spread_has_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_a_rate_counts_no_batch_without_its_time() -> None:
    # Four results every two seconds; the first batch took its time before the measuring began.
    times = [float(second) for second in (0, 2, 4, 6, 8) for _ in range(4)]

    assert rate(times, 1.0, 7.0) == 2.0


def test_a_rate_does_not_take_the_parts_of_the_first_batch_for_more() -> None:
    # A thousand results every half a second, in four parts a few milliseconds apart. Counted from the first part to the
    # last they would be 2208 a second.
    times = [second / 2 + part / 300 for second in range(8) for part in range(4) for _ in range(250)]

    assert rate(times, 0.0, 3.6) == pytest.approx(2000, rel=0.01)


@pytest.mark.parametrize("times", [[], [5.0], [5.0] * 4, [5.0, 5.01, 5.02, 5.03]])
def test_a_rate_of_one_batch_is_none(times: list[float]) -> None:
    assert not spans(times, 3.0, 6.0)
    with pytest.raises(ValueError, match="are too few"):
        rate(times, 3.0, 6.0)


def test_a_short_theft_is_not_lost_in_a_long_time() -> None:
    # Two cores, a second each; in the second of them half of their time was stolen.
    moments = [Cores(100.0, 10.0, 5.0), Cores(102.0, 11.0, 5.0), Cores(104.0, 11.0, 6.0), Cores(108.0, 13.0, 6.0)]

    assert shares(moments) == Shares(idle=3 / 8, stolen=1 / 8, stolen_at_worst=0.5)


def test_the_threads_of_contestants_are_told_apart_from_all_others() -> None:
    # Both are named as the worker and librdkafka name their threads.
    code = """
import pathlib, sys, threading
ready = threading.Barrier(3)
def named(name):
    pathlib.Path("/proc/thread-self/comm").write_text(name)
    ready.wait()
    threading.Event().wait()
for name in ("loop", "rdk:main"):
    threading.Thread(target=named, args=(name,), daemon=True).start()
ready.wait()
print("ready", flush=True)
sys.stdin.read()
"""
    starts = {"a contestant": [sys.executable, "-c", code, "contestants"], "another": [sys.executable, "-c", code]}
    processes = {
        name: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name, command in starts.items()
    }
    for each in processes.values():
        assert each.stdout is not None
        assert each.stdout.readline() == b"ready\n"

    found = moment().tasks
    for each in processes.values():
        each.communicate()

    threads = [task for task in found if task.user != BROKER]
    assert sorted(task.user for task in threads) == sorted((LOOP, CLIENT, MODEL))
    assert processes["a contestant"].pid in {task.number for task in threads}
    assert all(used.slept for task, used in found.items() if task in threads)


def test_the_time_of_all_cores_is_shared_out() -> None:
    # In ten seconds two cores answered 200 frames: 20 core seconds, or 100 ms for each frame.
    before = Moment(Cores(50.0, 5.0, 1.0), {Task(MODEL, 1): Used(user=1.0)})
    after = Moment(
        Cores(70.0, 6.0, 3.0),
        {
            Task(MODEL, 1): Used(user=8.0, kernel=1.0, waited=0.5),
            Task(MODEL, 2): Used(user=0.1),
            Task(LOOP, 3): Used(user=1.0, faults=400),
            Task(BROKER, 4): Used(user=2.0),
        },
    )
    spent = Spent()

    spent.add(before, after, seconds=10, rate=20)

    found = spent.shares()
    assert found[MODEL] == pytest.approx((7.0 + 1.0 + 0.1) / 200 * 1000)
    assert found["all cores"] == pytest.approx(100)
    assert sum(found.values()) == pytest.approx(2 * found["all cores"])
    assert spent.own == [pytest.approx((8.1 + 1.0) / 200)]
    assert spent.causes(LOOP)[4] == 2.0  # pages
    # The second thread hardly works: it is not counted as asleep.
    assert spent.causes(MODEL)[3] == pytest.approx((10 - 8.0 - 0.5) / 200 * 1000)


def test_bare_loops_are_tried_with_one_stream_and_with_one_for_each_core() -> None:
    found = list(candidates(["openvino", "compile"], {"precision": "bf16"}, cores=4))

    assert [(each["engine"], each["memory_format"], each["streams"]) for each in found] == [
        ("openvino", "channels_last", 4),
        ("openvino", "channels_last", 1),
        ("compile", "channels_last", 4),
        ("compile", "contiguous", 4),
    ]
    assert {each["precision"] for each in found} == {"bf16"}
    assert {each["threads"] for each in found} == {4}


def test_on_one_core_no_bare_loop_is_tried_twice() -> None:
    assert len(list(candidates(["openvino"], {}, cores=1))) == 1


def test_a_bare_loop_takes_what_the_worker_chooses_itself(tmp_path: Path) -> None:
    model = TimedModel("tints", "none", write_tints_model(tmp_path), tmp_path / "program.pt2")

    assert model_settings({"model": {"engine": "eager"}}, model) == {"engine": "eager", "streams": cores()}
    assert model_settings({"model": {"engine": "eager", "streams": 1}}, model) == {"engine": "eager", "streams": 1}


def test_loops_on_trial_make_the_same_number_of_calls() -> None:
    calls = EqualCalls(2)

    told = [calls.go_on(loop, late=late) for loop, late in [(0, False), (0, False), (1, False), (0, True), (1, True)]]

    assert told == [True, True, True, False, True]
    assert not calls.go_on(1, late=True)
    assert calls.made == [3, 3]


def test_a_table_says_what_tuning_chose() -> None:
    chosen: Settings = {"model": {"engine": "openvino", "streams": 2}, "window": {"max_frames": 32}}

    assert what_tuning_chose(chosen) == "Tuning chose model.engine=openvino, model.streams=2, window.max_frames=32."
    assert what_tuning_chose({}).startswith("Tuning kept the default settings: ")


def test_a_bare_loop_says_its_settings() -> None:
    loop = BareLoop({"engine": "openvino", "streams": 2, "threads": 2}, parts=2)

    assert str(loop) == "openvino, fp32, exact, streams 2, threads 2, parts in a call 2"


def test_rounds_go_forwards_and_backwards() -> None:
    told = list[tuple[int, str, float]]()
    numbers = map(float, count())

    reached = alternate({"a": lambda: next(numbers), "b": lambda: next(numbers)}, 3, lambda *each: told.append(each))

    assert [name for _, name, _ in told] == ["a", "b", "b", "a", "a", "b"]
    assert [number for number, _, _ in told] == [1, 1, 2, 2, 3, 3]
    assert reached == {"a": [0.0, 3.0, 4.0], "b": [1.0, 2.0, 5.0]}


def test_a_ratio_is_taken_within_its_round() -> None:
    # The machine was twice as slow in the second round, and that says nothing of either.
    assert ratio([40.0, 20.0, 60.0], [10.0, 5.0, 20.0]) == Spread(4.0, 3.0, 4.0)


def test_the_best_is_best_by_its_median() -> None:
    assert best_of({"steady": [5.0, 5.0, 5.0], "lucky": [1.0, 1.0, 9.0]}) == "steady"


def test_percentiles_come_in_the_order_asked_for() -> None:
    assert percentiles(list(range(101)), (99, 50)) == [99.0, 50.0]


def test_targets_are_met_from_their_own_side() -> None:
    assert TARGETS["over_per_message"].met(7.0)
    assert not TARGETS["over_per_message"].met(6.9)
    assert TARGETS["p99_over_bound_50"].met(1.0)
    assert not TARGETS["p99_over_bound_50"].met(1.1)


def test_the_json_is_flat_and_has_the_spread_of_each_ratio() -> None:
    assert as_json([an_outcome()]) == {
        "over_per_message": 8.0,
        "over_per_message_low": 7.5,
        "over_per_message_high": 8.25,
        "over_untuned": 2.0,
        "over_untuned_low": 1.0,
        "over_untuned_high": 3.0,
    }


def test_the_report_says_which_targets_are_met() -> None:
    text = as_markdown([an_outcome()], quick=True, charts="bench")

    assert "| `over_per_message` | 8.00 | 7.50 to 8.25 | at least 7 | yes |" in text
    assert "| ours | 12.0 |" in text
    assert "![Latency](bench/lines.svg)" in text


@pytest.mark.parametrize("chart", an_outcome().charts, ids=lambda chart: chart.name)
def test_a_chart_is_well_formed_and_shows_all_names(chart: Bars | Lines) -> None:
    root = ET.fromstring(draw(chart))  # noqa: S314 our own text

    texts = {"".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(chart.values) <= texts
    assert f"{chart.title}, {chart.unit}" in texts


def test_all_files_are_written(tmp_path: Path) -> None:
    write([an_outcome()], tmp_path, quick=False)

    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {
        "bench.md",
        "bench.json",
        "bars.svg",
        "lines.svg",
    }
    assert json.loads((tmp_path / "bench.json").read_text())["over_per_message"] == 8.0
