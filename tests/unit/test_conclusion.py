"""What the demo says at its end, in sentences."""

from dataclasses import replace

import pytest

from worker.local.conclusion import conclusion, duration
from worker.local.cuts import VideoSummary
from worker.local.summary import Summary

SUMMARY = Summary(
    frames_sent=450,
    predictions=450,
    dead_letters=0,
    lost=0,
    predicted_twice=0,
    counted_twice=0,
    seen=450,
    labelled=450,
    correct=449,
    accuracy=0.9978,
    accuracy_by_camera={},
    frames_per_second=15.0,
    latency_ms={"p50": 85.2, "p99": 2_140.0},
    cuts_found=5,
    cuts_expected=5,
    video=VideoSummary(frames_sent=250, values=250),
    broker="b:1",
)
ON_PURPOSE = "The pictures turn and blur on purpose, so that the model errs in some."


def test_a_run_in_which_all_is_well() -> None:
    assert conclusion(SUMMARY) == [
        "450 frames were sent: 450 predictions, 0 dead letters, none lost, none twice.",
        f"449 of 450 labelled frames were right (99 %). {ON_PURPOSE}",
        "The video's 5 cuts were found, and none more.",
        "Half of the frames got their prediction within 85 ms, 99 % within 2.1 s.",
    ]


def test_a_killed_worker_is_told_last() -> None:
    assert conclusion(replace(SUMMARY, workers_killed=1))[-1] == (
        "One worker was killed: 0 of 450 frames were lost, 0 were counted twice, 0 were predicted twice."
    )


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        (
            replace(SUMMARY, predictions=448, dead_letters=1, lost=2, predicted_twice=1),
            "450 frames were sent: 448 predictions, 1 dead letter, 2 lost, 1 twice.",
        ),
        (
            replace(SUMMARY, counted_twice=3),
            "450 frames were sent: 450 predictions, 0 dead letters, none lost, 3 twice.",
        ),
        (
            replace(SUMMARY, video=VideoSummary(frames_sent=250, values=250, missing_cuts=[29, 75], extra_cuts=[7])),
            "Of the video's 5 cuts, 2 were missed, and 1 were found too many.",
        ),
        (
            replace(SUMMARY, workers_killed=1, lost=2, predicted_twice=1),
            "One worker was killed: 2 of 450 frames were lost, 0 were counted twice, 1 were predicted twice.",
        ),
        (replace(SUMMARY, labelled=0, correct=0), "No frame had a label."),
    ],
)
def test_a_fault_is_in_its_sentence(summary: Summary, sentence: str) -> None:
    assert sentence in conclusion(summary)


def test_without_a_prediction_there_is_no_latency() -> None:
    assert not any("within" in each for each in conclusion(replace(SUMMARY, latency_ms={})))


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0.4, "0 ms"), (999.4, "999 ms"), (999.6, "1.0 s"), (61_000, "61.0 s")]
)
def test_durations(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text
