"""What the demo shows at one moment, for a terminal of any size: lines of text, of ASCII characters of ours only."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from worker.local.columns import Column, most_that_fit, shorten, table
from worker.local.cuts import VIDEO, VideoRow
from worker.local.scoreboard import Row, Scoreboard

_LEAST_WIDTH: Final = 24
"""Columns; a terminal that is narrower cuts the lines."""
_MOST_WIDTH: Final = 100
"""Columns; more are left empty, so that the clock stands near the table."""


class State(StrEnum):
    """What a worker of a group does."""

    RUNS = "running"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Member:
    """A worker of the group that classifies.

    Attributes:
        partitions: the partitions of the frames that are its own, as the group says. A killed worker has some until
            the group notices.
    """

    name: str
    state: State
    partitions: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The time, and what else is true at that moment.

    Attributes:
        now: the monotonic time, in seconds.
        elapsed: seconds since the cameras began.
        planned: seconds for which they send.
        sending: whether one of them still sends.
        members: the workers that share the cameras; empty if there is only one.
        events: sentences about what has happened.
    """

    now: float
    elapsed: float
    planned: float
    sending: bool = True
    members: Sequence[Member] = ()
    events: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What the demo shows results of.

    Attributes:
        labels: the label of each camera.
        classifier: the name of the model that classifies.
        cut_finder: the name of the model that finds the video's cuts.
    """

    labels: Mapping[str, str]
    classifier: str
    cut_finder: str
    board: Scoreboard = field(default_factory=Scoreboard)
    video: VideoRow = field(default_factory=VideoRow)


class _Block(NamedTuple):
    """Lines that are shown together, or left out of a low terminal; see `Ranked`."""

    rank: int
    lines: Sequence[Text]


class _Part(NamedTuple):
    """A part of a line, or left out of a narrow terminal; see `Ranked`."""

    rank: int
    text: str
    style: str = ""


def screen(scene: Scene, moment: Moment, *, width: int, height: int) -> list[Text]:
    """Return the lines for a terminal of this size: none is wider, and there are no more of them."""
    width = min(max(width, _LEAST_WIDTH), _MOST_WIDTH)
    question = f"{scene.classifier}: what is in the picture?"
    cuts_question = f"{scene.cut_finder}: after which frame is there a cut?"
    blocks = [
        _Block(3, [_heading(question, clock_of(scene, moment), width)]),
        _Block(2, _cameras(scene, moment, width)),
        _Block(0, [_total(scene.board, moment, width)]),
        _Block(5, [Text()] if moment.members else []),
        _Block(1, _members(scene.board, moment.members, width)),
        _Block(1, [Text(line, "bold yellow") for event in moment.events for line in textwrap.wrap(event, width)]),
        _Block(5, [Text()]),
        _Block(4, [_heading(cuts_question, "", width)]),
        _Block(3, _video(scene.video, width)),
        _Block(6, [Text(shorten("Frames get their values two seconds at a time.", width), "dim")]),
    ]
    shown = most_that_fit(blocks, lambda some: sum(len(block.lines) for block in some) <= height)
    return [line for block in shown for line in block.lines][:height]


def progress_line(scene: Scene, moment: Moment) -> str:
    """Return the state of the run in one line, for an output that is no terminal."""
    video = f"video: {len(scene.video.values)} values, {len(scene.video.found)} cuts"
    return f"{clock_of(scene, moment)}  {_joined(_totals(scene.board, moment))}  {video}"


def clock_of(scene: Scene, moment: Moment) -> str:
    """Say how far the run is, such as `18 of 30 s`."""
    if moment.sending:
        return f"{min(moment.elapsed, moment.planned):.0f} of {moment.planned:.0f} s"
    waiting = scene.board.total("lag") + scene.video.lag
    return f"all sent, {waiting} to go" if waiting else f"done in {moment.elapsed:.0f} s"


def at(seconds: float) -> str:
    """Write a time since the beginning: 0:12."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _heading(text: str, clock: str, width: int) -> Text:
    name = shorten(text, max(0, width - cell_len(clock) - 2))
    return Text.assemble((name, "bold"), " " * (width - cell_len(name) - cell_len(clock)), (clock, "bold cyan"))


def _cameras(scene: Scene, moment: Moment, width: int) -> list[Text]:
    rows = {camera: scene.board.row(camera) for camera in scene.labels}
    best = [row.last.classes[0] if row.last else None for row in rows.values()]
    columns = [
        Column("camera", [*rows], width=10),
        Column("label", [*scene.labels.values()], width=12, rank=1, style="dim"),
        Column(
            "last prediction",
            [f"{each.probability:4.0%} {each.name}" if each else "" for each in best],
            width=22,
            least=17,
            styles=["green" if _is_right(row) else "" for row in rows.values()],
        ),
        Column("right", [f"{row.correct}/{row.labelled}" for row in rows.values()], right=True),
        Column("right %", [percent(row.correct, row.labelled) for row in rows.values()], rank=3, right=True),
        Column("lag", [str(row.lag) for row in rows.values()], rank=2, right=True),
        Column("per s", [f"{_rate(row, moment):.1f}" for row in rows.values()], rank=5, right=True),
        Column("p50 ms", [_rounded(row.latency(50)) for row in rows.values()], rank=6, right=True),
        Column("p99 ms", [_rounded(row.latency(99)) for row in rows.values()], rank=4, right=True),
    ]
    return table(columns, width)


def _rate(row: Row, moment: Moment) -> float:
    """Return the recent rate of predictions, and that of the whole run once the camera's last frame has its own."""
    if moment.sending or row.lag:
        return row.frames_per_second(moment.now)
    return row.mean_rate(moment.now - moment.elapsed)


def _is_right(row: Row) -> bool:
    return bool(row.last and row.last.correct and row.last.correct.top1)


def _total(board: Scoreboard, moment: Moment, width: int) -> Text:
    parts = most_that_fit(_totals(board, moment), lambda some: len(_joined(some)) <= width)
    line = Text("  ", "bold").join(Text(part.text, part.style) for part in parts)
    line.truncate(width)
    return line


def _totals(board: Scoreboard, moment: Moment) -> list[_Part]:
    correct, labelled = board.total("correct"), board.total("labelled")
    lost, twice = board.total("lost"), board.total("predicted_twice") + board.total("counted_twice")
    rate = sum(_rate(row, moment) for row in board.rows.values())
    return [
        _Part(0, f"total  {board.total('predictions')} frames", "bold"),
        _Part(3, f"{rate:.1f}/s", "bold"),
        _Part(2, f"right {percent(correct, labelled) or '-'} %", "bold"),
        _Part(1, f"lost {lost}", "bold red" if lost else "bold green"),
        _Part(1, f"twice {twice}", "bold red" if twice else "bold green"),
        _Part(4, f"waiting {board.total('lag')}", "bold"),
    ]


def _joined(parts: Sequence[_Part]) -> str:
    return "  ".join(part.text for part in parts)


def _members(board: Scoreboard, members: Sequence[Member], width: int) -> list[Text]:
    if not members:
        return []
    rows = [row for row in board.rows.values() if row.last]
    lags = [sum(r.lag for r in rows if r.last and r.last.frame.partition in each.partitions) for each in members]
    columns = [
        Column("worker", [each.name for each in members]),
        Column("state", [each.state for each in members], width=7, styles=[_style(each.state) for each in members]),
        Column("partitions", [" ".join(map(str, each.partitions)) or "none" for each in members]),
        Column("lag", [str(lag) for lag in lags], width=3, rank=1, right=True),
    ]
    return table(columns, width)


def _style(state: State) -> str:
    return "green" if state is State.RUNS else "bold red"


def _video(row: VideoRow, width: int) -> list[Text]:
    number, value = next(reversed(row.found.items()), (None, 0.0))
    last = "" if number is None else f"after frame {number}, {value:.2f}"
    columns = [
        Column("video", [VIDEO]),
        Column("last cut", [last], width=21),
        Column("cuts found", [f"{len(row.found)} of {row.due}"], right=True),
        Column("frames", [str(row.sent)], rank=2, right=True),
        Column("values", [str(row.values.total())], rank=3, right=True),
        Column("lag", [str(row.lag)], width=3, rank=1, right=True),
    ]
    return table(columns, width)


def percent(part: int, whole: int) -> str:
    """Write a ratio in percent; it is rounded down, so 100.0 means all. Empty if there is nothing yet."""
    return f"{part * 1000 // whole / 10:.1f}" if whole else ""


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
