"""What a frame's way through the worker costs in Python: counted, so that the same code always gives the same figures.

Compared with the figures below. If you make it more expensive on purpose, or much cheaper, write down the new ones;
`python -m tests.benchmarks.path` shows them by function.
"""

import gc
import sys
from collections.abc import Mapping
from typing import Final

import pytest
from rich.console import Console

from tests.benchmarks.path import Cost, Function, as_table, cost_by_function, total

WRITTEN_DOWN: Final = Cost(calls=130.1, own=4325.8, libraries=434.8)
PYTHON: Final = (3, 11)
"""What it was counted on. Newer ones have other instructions and inline some functions: there, calls alone are held."""
DEARER: Final = 1.03
CHEAPER: Final = 0.9
"""Below this, the figures no longer say anything, and what was won could be lost again without a word."""


@pytest.fixture(scope="module")
def costs() -> Mapping[Function, Cost]:
    return cost_by_function()


def faults(found: Cost, written_down: Cost, python: tuple[int, int]) -> list[str]:
    """Say what is not as it was written down."""
    held = {"calls": (found.calls, written_down.calls)}
    if python == PYTHON:
        held["own instructions"] = (found.own, written_down.own)
        held["instructions of libraries"] = (found.libraries, written_down.libraries)
    return [
        f"{found:.1f} {what} a frame, {found / before - 1:+.1%} of the {before:.1f} written down"
        for what, (found, before) in held.items()
        if found > before * DEARER or (python == PYTHON and found < before * CHEAPER)
    ]


def test_a_frame_costs_what_it_did(costs: Mapping[Function, Cost]) -> None:
    found = total(costs)
    if wrong := faults(found, WRITTEN_DOWN, sys.version_info[:2]):
        console = Console(width=120)
        with console.capture() as shown:
            console.print(as_table(costs, rows=15))
        pytest.fail(f"{'; '.join(wrong)}; if it has to be so, write down {found}\n{shown.get()}", pytrace=False)


@pytest.mark.parametrize(
    ("found", "python", "expected"),
    [
        (Cost(102, 1020, 102), PYTHON, []),
        (Cost(104, 1020, 102), PYTHON, ["104.0 calls a frame, +4.0%"]),
        (Cost(100, 1031, 104), PYTHON, ["1031.0 own instructions a frame, +3.1%", "104.0 instructions of libraries"]),
        (Cost(91, 899, 91), PYTHON, ["899.0 own instructions a frame, -10.1%"]),
        (Cost(50, 2000, 200), (3, 13), []),
        (Cost(104, 500, 50), (3, 13), ["104.0 calls a frame, +4.0%"]),
    ],
)
def test_what_is_not_as_it_was_is_said(found: Cost, python: tuple[int, int], expected: list[str]) -> None:
    said = faults(found, Cost(100, 1000, 100), python)

    assert len(said) == len(expected)
    assert all(text.startswith(start) for text, start in zip(said, expected, strict=True))


def test_the_whole_way_is_counted(costs: Mapping[Function, Cost]) -> None:
    calls = {(function.module.removeprefix("worker."), function.name): cost.calls for function, cost in costs.items()}

    for function in (
        ("wire.frame", "parse_frame"),
        ("stream.batcher", "WindowBatcher.add"),
        ("media.images", "decode_image"),
        ("domain.results", "Prediction.__init__"),
        ("wire.prediction", "render_prediction"),
        ("domain.tallies", "Tally.including"),
        ("stream.ledger", "Ledger.finish"),
    ):
        assert calls[function] == 1, function
    assert 0 < calls["ops.telemetry", "Telemetry._predicted"] < 1, "once a camera, not once a frame"
    assert calls["stream.worker", "Worker.run"] == 0
    assert calls["stream.worker", "Worker.step"] == 1 / 32


def test_counting_gives_the_same_again_and_leaves_nothing_behind(costs: Mapping[Function, Cost]) -> None:
    tracing = sys.gettrace()

    assert cost_by_function() == costs
    assert sys.gettrace() is tracing
    assert gc.isenabled()
