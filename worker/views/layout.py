"""What is written where on a picture of some size. Pure arithmetic: `worker/views/drawing.py` paints it.

Two panels stay out of each other's way: camera, time and event at the top, what the model says at the bottom. Of a
picture that is too small for all of it, the rows that matter most are kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from worker.views.clock import clock
from worker.views.shown import Compared, Event, Facts, Meter, Share, Truth
from worker.views.text import Font, shorten

CLASSES_SHOWN: Final = 3
AREAS_SHOWN: Final = 5
"""Classes that have a colour in the picture: the bars are its legend."""
PANEL_SHARE: Final = 0.55
"""Most of a picture's height that the lower panel may take."""

_WIDEST: Final = 17
"""Width of the lower panel in text sizes. It does not follow the texts: in a video it would twitch."""


class Tone(Enum):
    """What a row is about; each has its colour."""

    PLAIN = "plain"
    RIGHT = "right"
    WRONG = "wrong"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Bar:
    """How much of a bar is filled, 0 to 1, and where it is marked."""

    filled: float
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line: text at the left, value at the right, and a bar beneath if there is one.

    Attributes:
        rank: rows of a higher rank are left out first.
        index: of the class whose colour the bar has; None where colours say nothing about classes.
    """

    text: str
    value: str = ""
    bar: Bar | None = None
    tone: Tone = Tone.PLAIN
    rank: int = 0
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A box with rows, in pixels of the picture.

    Attributes:
        size: of the text.
        loud: light instead of dark.
    """

    x: int
    y: int
    width: int
    height: int
    size: int
    rows: tuple[Row, ...]
    loud: bool = False

    @property
    def bottom(self) -> int:
        """The first line of pixels below it."""
        return self.y + self.height


def text_size(width: int, height: int) -> int:
    """Return the size of text, in pixels, that suits a picture: 10 at 160x120, 33 at 1920x1080, 49 at 3840x2160."""
    return max(8, round(10 * math.pow(min(width, height) / 120, 0.55)))


def padding(size: int) -> int:
    """Return the pixels between a panel's edge and its rows."""
    return max(2, round(0.4 * size))


def bar_height(bar: Bar, size: int) -> int:
    """Return how many pixels a bar is high; one with a threshold is a meter, and thicker."""
    return max(4, round(0.3 * size)) if bar.threshold is not None else max(2, round(0.14 * size))


def bar_gap(size: int) -> int:
    """Return the pixels between a bar and the next row; more than above it, as the bar belongs to the row above."""
    return max(1, round(0.22 * size))


def row_height(row: Row, size: int) -> int:
    """Return how many pixels a row takes, with its bar."""
    line = round(1.35 * size)
    return line if row.bar is None else line + bar_height(row.bar, size) + bar_gap(size)


def layout(width: int, height: int, facts: Facts, font: Font) -> tuple[Panel, ...]:
    """Return the panels for a picture of this size. They lie within it, and none covers another."""
    size, margin = text_size(width, height), max(2, min(width, height) // 60)
    free = height - margin
    header = _header(facts, width - 2 * (margin + padding(size)), size, font)
    panels = [_fitted(margin, margin, width - 2 * margin, free - margin, size, (header,), font)]
    if facts.event is not None:
        top, large = panels[0].bottom + margin // 2, round(1.5 * size)
        rows, loud = (_banner(facts.event),), facts.event.since_event == 0
        panels.append(_fitted(margin, top, width - 2 * margin, free - top, large, rows, font, loud=loud))
    top = panels[-1].bottom + margin
    room = min(free - top, round(PANEL_SHARE * height))
    if said := _most_important(_rows(facts), size, room):
        tall = _height(said, size)
        panels.append(Panel(margin, free - tall, min(width - 2 * margin, _WIDEST * size), tall, size, said))
    return tuple(panel for panel in panels if panel.width > 2 * padding(size) and panel.height > 0)


def parts(row: Row, size: int, width: int, font: Font) -> tuple[str, str]:
    """Return a row's text and value for a width in pixels: the text is shortened first, because the value is short."""
    value = shorten(row.value, size, width, font)
    gap = font.width(value, size) + size // 2 if value else 0
    return shorten(row.text, size, width - gap, font), value


def _fitted(
    x: int, y: int, width: int, room: int, size: int, rows: tuple[Row, ...], font: Font, *, loud: bool = False
) -> Panel:
    """Return a panel as wide as its rows, in steps of the text size, and at most `width`; empty if it has no room."""
    needed = max(font.width(row.text, size) + (font.width(row.value, size) + size if row.value else 0) for row in rows)
    whole = -(-(needed + 2 * padding(size)) // size) * size
    tall = _height(rows, size)
    return Panel(x, y, min(width, whole), tall if tall <= room else 0, size, rows, loud)


def _height(rows: Sequence[Row], size: int) -> int:
    return sum(row_height(row, size) for row in rows) + 2 * (padding(size) // 2)


def _most_important(rows: Sequence[Row], size: int, room: int) -> tuple[Row, ...]:
    """Return the rows, in their order, without those of the highest ranks that have no room."""
    kept = list(rows)
    while kept and _height(kept, size) > room:
        kept.remove(max(kept, key=lambda row: row.rank))
    return tuple(kept)


def _header(facts: Facts, width: int, size: int, font: Font) -> Row:
    """Return camera and time; where both do not fit, the camera's name counts for more than the date."""
    time = clock(facts.captured_at)
    fits = font.width(facts.camera, size) + size + font.width(time, size) <= width
    return Row(facts.camera, time if fits else time.rpartition(" ")[2])


def _banner(event: Event) -> Row:
    ago = event.since_event
    name = event.name.upper()
    return Row(f"{name}, {ago} frame{'s' * (ago != 1)} ago" if ago else name, tone=Tone.EVENT)


def _rows(facts: Facts) -> tuple[Row, ...]:
    areas = bool(facts.classes) and facts.classes[0].index is not None
    most = AREAS_SHOWN if areas else CLASSES_SHOWN
    classes = (_class(number, share) for number, share in enumerate(facts.classes[:most]))
    meter = (_meter(facts.meter),) if facts.meter else ()
    truth = (_truth(facts.truth),) if facts.truth else ()
    compared = (_compared(facts.compared),) if facts.compared else ()
    note = (Row(facts.note, rank=1),) if facts.note else ()
    return (*classes, *meter, *truth, *compared, *note)


def _class(number: int, share: Share) -> Row:
    percent = f"{100 * share.probability:.0f} %"
    return Row(share.name, percent, Bar(share.probability), rank=number and number + 1, index=share.index)


def _compared(compared: Compared) -> Row:
    tone = Tone.RIGHT if compared.right else Tone.WRONG
    return Row(
        f"{compared.found} of {compared.true} found",
        f"{compared.false_alarms} false alarm{'s' * (compared.false_alarms != 1)}",
        tone=tone,
    )


def _meter(meter: Meter) -> Row:
    sign, tone = ("≥", Tone.EVENT) if meter.reached else ("<", Tone.PLAIN)
    return Row(f"{meter.value:.2f}", f"{sign} {meter.threshold:.2f}", Bar(meter.value, meter.threshold), tone)


def _truth(truth: Truth) -> Row:
    word, tone = {
        True: ("right", Tone.RIGHT),
        False: ("wrong", Tone.WRONG),
        None: ("no class", Tone.PLAIN),
    }[truth.right]
    return Row(f"label: {truth.label}", word, tone=tone, rank=1)
