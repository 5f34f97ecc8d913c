"""The demo's screen: it fits terminals of any size, and says what is true."""

import sys

import pytest
from rich.cells import cell_len
from rich.text import Text

from tests.support.demo_run import EVENT, LABELS, SENT, a_count_of, a_moment, a_prediction_of, a_scene
from tests.support.terminals import run_in_terminal
from worker.local.columns import Column, shorten, table
from worker.local.screen import Moment, Scene, clock_of, progress_line, screen


def plain(lines: list[Text]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("height", [1, 5, 12, 23, 60])
@pytest.mark.parametrize("width", [24, 40, 59, 60, 61, 80, 120, 200])
def test_no_line_is_wider_and_there_are_no_more_lines_than_the_terminal_has(
    width: int, height: int, *, killed: bool
) -> None:
    lines = screen(a_scene(), a_moment(killed=killed), width=width, height=height)

    assert 0 < len(lines) <= height
    assert max(line.cell_len for line in lines) <= width
    assert not any("\n" in line.plain for line in lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_camera_has_one_line_and_what_matters_is_shown_at_every_width(width: int) -> None:
    lines = plain(screen(a_scene(), a_moment(killed=True), width=width, height=40))

    for camera in LABELS:
        assert sum(line.startswith(camera[:8]) for line in lines) == 1
    (total,) = (line for line in lines if line.startswith("total"))
    assert total.startswith("total  960 frames")
    assert "lost 0  twice 0" in total
    assert lines[0].endswith("60 of 90 s")
    assert any(line.startswith("worker-2") and "killed" in line and "2 3" in line for line in lines)
    assert EVENT in " ".join(lines)


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (40, ["camera", "last prediction", "right"]),
        (60, ["camera", "label", "last prediction", "right", "lag"]),
        (80, ["camera", "label", "last prediction", "right", "right %", "lag", "per s", "p99 ms"]),
        (120, ["camera", "label", "last prediction", "right", "right %", "lag", "per s", "p50 ms", "p99 ms"]),
    ],
)
def test_the_less_important_columns_are_left_out_first(width: int, headings: list[str]) -> None:
    heading = plain(screen(Scene({"motorcycle": "moped"}, "a", "b"), a_moment(), width=width, height=40))[1]

    assert [each.strip() for each in heading.split("  ") if each.strip()] == headings


@pytest.mark.parametrize("height", [1, 2, 5])
def test_the_total_stays_in_the_lowest_terminal(height: int) -> None:
    assert plain(screen(a_scene(), a_moment(), width=80, height=height))[0].startswith("total  960 frames")


def test_a_screen_before_the_first_result() -> None:
    lines = plain(screen(Scene(LABELS, "a", "b"), Moment(now=0, elapsed=0, planned=30), width=80, height=30))

    assert "total  0 frames  0.0/s  right - %  lost 0  twice 0  waiting 0" in lines
    assert lines[0].endswith("0 of 30 s")


def test_the_rate_is_that_of_the_last_seconds_and_at_the_end_that_of_the_whole_run() -> None:
    """The four cameras have 20 predictions in a second lately, and 244 in the first 59.95 s."""
    scene = a_scene(predicted=SENT)

    assert any("80.0/s" in line for line in plain(screen(scene, a_moment(), width=80, height=40)))
    assert any("16.3/s" in line for line in plain(screen(scene, a_moment(sending=False), width=80, height=40)))


def test_only_ascii_is_added_to_the_names() -> None:
    scene = Scene({"chelsea": "cat"}, "mobilenet_v2", "transnetv2")

    for width in (40, 80):
        assert all(line.plain.isascii() for line in screen(scene, a_moment(killed=True), width=width, height=40))


def test_a_lost_frame_and_one_counted_twice_are_red() -> None:
    scene = Scene({"chelsea": "cat"}, "a", "b")
    scene.board.sent({"chelsea": 3})
    for number in (0, 2, 2):
        scene.board.predicted(a_prediction_of("chelsea", number), now=0.0, arrived_at=0)
    scene.board.counted(a_count_of("chelsea", seen=4, correct=3))

    (total,) = (line for line in screen(scene, a_moment(), width=80, height=40) if line.plain.startswith("total"))
    assert "lost 1  twice 2" in total.plain  # predicted twice, and counted twice
    assert [str(span.style) for span in total.spans if "red" in str(span.style)] == ["bold red", "bold red"]


def test_the_clock() -> None:
    scene = a_scene()

    assert clock_of(scene, a_moment()) == "60 of 90 s"
    assert clock_of(scene, a_moment(sending=False)) == "all sent, 116 to go"
    assert clock_of(a_scene(predicted=SENT), a_moment(sending=False)) == "all sent, 100 to go"


def test_one_line_says_the_same_where_there_is_no_terminal() -> None:
    assert progress_line(a_scene(), a_moment()) == (
        "60 of 90 s  total  960 frames  80.0/s  right 97.0 %  lost 0  twice 0  waiting 16  video: 12400 values, 40 cuts"
    )


def test_a_table_drops_by_rank_then_cuts() -> None:
    columns = [
        Column("name", ["a long name"], least=6),
        Column("x", ["12345"], rank=1, right=True),
        Column("y", ["123"], rank=2),
    ]

    assert plain(table(columns, 23)) == ["name             x  y", "a long name  12345  123"]
    assert plain(table(columns, 22)) == ["name            x  y", "a long n..  12345  123"]
    assert plain(table(columns, 18)) == ["name        x  y", "a lo..  12345  123"]
    assert plain(table(columns, 17)) == ["name            x", "a long n..  12345"]
    assert plain(table(columns, 12)) == ["name", "a long name"]
    assert plain(table(columns, 9)) == ["name", "a long.."]
    assert plain(table(columns, 3)) == ["nam", "a l"]


@pytest.mark.parametrize(
    ("text", "width", "short"), [("espresso", 8, "espresso"), ("espresso", 7, "espre.."), ("", 0, "")]
)
def test_what_is_cut_ends_in_dots(text: str, width: int, short: str) -> None:
    assert shorten(text, width) == short


@pytest.mark.parametrize("width", range(12))
def test_wide_characters_are_never_cut_in_half(width: int) -> None:
    assert cell_len(shorten("喫茶店 and", width)) <= width


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_real_terminal_shows_every_row_on_one_line(columns: int) -> None:
    shown = run_in_terminal([sys.executable, "-m", "tests.support.demo_run"], columns=columns, rows=40)

    assert max(map(cell_len, shown)) <= columns
    for name in [*(camera[:8] for camera in LABELS), "total", "worker-1", "bikes"]:
        assert len({line for line in shown if line.startswith(name)}) == 1  # the last screen is drawn twice
