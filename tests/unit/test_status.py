from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from worker.domain.results import HitCounts
from worker.domain.times import Monotonic
from worker.ops.counts import Counts, Rightness
from worker.ops.status import Names, Pace, Status, duration, status_line, summary

NAMES = Names("predictions", "--config worker.yaml")
BUSY = Pace(new=4120, seconds=10, quiet=0)
STILL = Pace(new=0, seconds=10, quiet=40)
IDLE = Counts(lag=0, assigned=4)
DONE = Counts(
    outcomes={"predicted": 4118, "rejected": 2},
    rejected={"truncated": 1, "empty": 1},
    rightness=Rightness(labelled=4000, right=3499),
    lag=0,
    assigned=4,
)
TROUBLE = "no answer for 6 s from the brokers at kafka:9092: connection refused; check that the broker is up"


@pytest.mark.parametrize(
    ("counts", "pace", "said"),
    [
        (DONE, BUSY, "4,120 frames, 412/s, 87.4 % of 4,000 labelled right, lag 0, 2 dead letters"),
        (DONE, Pace(25, 10, 0), "4,120 frames, 2.5/s, 87.4 % of 4,000 labelled right, lag 0, 2 dead letters"),
        (DONE, STILL, "4,120 frames, none for 40 s, 87.4 % of 4,000 labelled right, lag 0, 2 dead letters"),
        (Counts(outcomes={"rejected": 1}, lag=12_000), Pace(1, 10, 0), "1 frame, 0.1/s, lag 12,000, 1 dead letter"),
        (Counts(outcomes={"predicted": 9}, lag=None), Pace(9, 1, 0), "9 frames, 9.0/s, lag unknown"),
        (Counts(outcomes={"skipped": 30}, lag=0), Pace(30, 1, 0), "30 frames, 30/s, lag 0, 30 skipped"),
        (
            IDLE,
            STILL,
            "no frames for 40 s in its 4 partitions: vision-worker produce FOLDER --config worker.yaml",
        ),
        (replace(IDLE, lag=7), STILL, "0 frames, none for 40 s, lag 7"),
        (
            replace(IDLE, in_flight=3_200_000),
            STILL,
            "0 frames, none done for 40 s, 3.2 MB of pictures in work",
        ),
        (
            replace(IDLE, outcomes={"predicted": 5}, waiting=2),
            STILL,
            ("5 frames, none for 40 s, lag 0, 2 partitions not read: vision-worker topics apply --config worker.yaml"),
        ),
        (
            replace(IDLE, outcomes={"predicted": 5}, max_cameras=200),
            STILL,
            "5 frames, none for 40 s, lag 0, over 200 cameras, so some count as 'other': raise limits.max_cameras",
        ),
    ],
)
def test_a_line_says_what_a_worker_does(counts: Counts, pace: Pace, said: str) -> None:
    assert status_line(counts, pace, None, NAMES) == said


@pytest.mark.parametrize(
    ("rightness", "unknown", "said"),
    [
        (Rightness(), 0, "9 frames, 9.0/s, lag 0"),
        (Rightness(), 9, "9 frames, 9.0/s, 9 labels name no class of the model, lag 0"),
        (Rightness(9, 9), 0, "9 frames, 9.0/s, 100.0 % of 9 labelled right, lag 0"),
        (Rightness(10_000, 9_999), 0, "9 frames, 9.0/s, 99.9 % of 10,000 labelled right, lag 0"),
        (
            Rightness(9, 0, HitCounts(30, 10, 3)),
            0,
            "9 frames, 9.0/s, 75.0 % of 40 true boxes found, 3 false alarms, lag 0",
        ),
        (Rightness(9, 0, HitCounts(0, 0, 1)), 0, "9 frames, 9.0/s, no true boxes yet, 1 false alarm, lag 0"),
    ],
)
def test_each_kind_of_model_has_its_own_right(rightness: Rightness, unknown: int, said: str) -> None:
    counts = Counts(outcomes={"predicted": 9}, rightness=rightness, unknown=unknown, lag=0)

    assert status_line(counts, Pace(9, 1, 0), None, NAMES) == said


def test_what_keeps_a_worker_from_its_work_is_said_instead_of_figures_and_beside_new_ones() -> None:
    assert status_line(IDLE, STILL, TROUBLE, NAMES) == TROUBLE
    assert status_line(DONE, STILL, TROUBLE, NAMES) == f"4,120 frames so far; {TROUBLE}"
    assert status_line(DONE, BUSY, TROUBLE, NAMES).endswith(f"lag 0, 2 dead letters; {TROUBLE}")


def test_the_usual_lines_fit_a_terminal_of_80_columns() -> None:
    clock = len("12:00:10 ")
    usual = [
        (Counts(outcomes={"predicted": 120}, rightness=Rightness(120, 99), lag=0), Pace(120, 10, 0)),
        (IDLE, STILL),
    ]
    for counts, pace in usual:
        assert clock + len(status_line(counts, pace, None, Names("predictions"))) <= 80


def test_rates_are_those_since_the_last_line_and_quiet_is_counted_from_the_last_result() -> None:
    counts = Counts(lag=0)
    status = Status(lambda: counts, lambda _: None, NAMES, now=Monotonic(100))
    with capture_logs() as said:
        counts = Counts(outcomes={"predicted": 50}, lag=0)
        status.tell(Monotonic(110))
        counts = Counts(outcomes={"predicted": 250}, lag=0)
        status.tell(Monotonic(120))
        status.tell(Monotonic(130))
        status.tell(Monotonic(140))

    assert [line["line"] for line in said] == [
        "50 frames, 5.0/s, lag 0",
        "250 frames, 20/s, lag 0",
        "250 frames, none for 10 s, lag 0",
        "250 frames, none for 20 s, lag 0",
    ]
    assert [(line["event"], line["frames"], line["frames_per_second"]) for line in said] == [
        ("status", 50, 5.0),
        ("status", 250, 20.0),
        ("status", 250, 0.0),
        ("status", 250, 0.0),
    ]


def test_the_last_line_sums_up_and_says_where_everything_is() -> None:
    counts = replace(DONE, outcomes={"predicted": 4100, "rejected": 15, "skipped": 5}, skipped={"over-rate": 5})
    counts = replace(counts, rejected={"empty": 3, "truncated": 12})

    assert summary(counts, 603, NAMES).splitlines() == [
        (
            "stopped after 10 min 3 s: 4,120 frames, 4,100 predicted, 15 dead letters (12 truncated, 3 empty), "
            "5 skipped (5 over-rate), 87.4 % of 4,000 labelled right"
        ),
        (
            "  predictions are in topic 'predictions': vision-worker tail predictions --config worker.yaml "
            "--from-beginning"
        ),
        "  dead letters: vision-worker deadletters list --config worker.yaml",
    ]
    assert summary(IDLE, 4, NAMES) == "stopped after 4 s: no frame got a result"


def test_programs_get_the_same_numbers() -> None:
    status = Status(lambda: DONE, lambda _: TROUBLE, NAMES, now=Monotonic(0))
    with capture_logs() as said:
        status.tell(Monotonic(10))
        status.sum_up(Monotonic(20))

    for line in said:
        assert (line["frames"], line["labelled"], line["right"], line["lag"]) == (4120, 4000, 3499, 0)
        assert line["dead_letters"] == {"truncated": 1, "empty": 1}
    assert said[0]["trouble"] == TROUBLE
    assert (said[1]["event"], said[1]["seconds"]) == ("summary", 20)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.6, "1 min"), (60, "1 min"), (61, "1 min 1 s"), (86_400, "1 d")]
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said
