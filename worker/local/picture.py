"""Write what the demo showed at its end as one SVG picture, for a page: pictures of cameras above a terminal."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import cv2
import numpy as np
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from worker.local.cameras import Cameras
from worker.local.cuts import number_of
from worker.local.samples import PHOTOGRAPHS
from worker.local.scoreboard import Scoreboard
from worker.models.store import write_atomically

WIDTH: Final = 80
"""Columns."""
# A picture of a page loads nothing from elsewhere: the viewer's own fonts are used.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code,", "DejaVu Sans Mono, Menlo, Consolas,"
)
_GAP: Final = 12
_CAPTION: Final = 30
_PIXELS: Final = 320
"""Width of an embedded picture; it is shown a little smaller, so that it is sharp on screens with many pixels."""
_QUALITY: Final = 80


class Shot(NamedTuple):
    """What a camera saw, and what the model said of it."""

    jpeg: bytes
    caption: str
    right: bool


def shots(cameras: Cameras, board: Scoreboard) -> list[Shot]:
    """Return the newest frame with a prediction of each camera whose photograph anybody may publish."""
    found = []
    for photograph in PHOTOGRAPHS:
        last, frames = board.row(photograph.name).last, cameras[photograph.name]
        if photograph.free and last:
            best = last.classes[0]
            jpeg = frames[number_of(last.frame.id) % len(frames)].data
            found.append(Shot(jpeg, f"{best.probability:.0%} {best.name}", bool(last.correct and last.correct.top1)))
    return found


def write_picture(file: Path, lines: Sequence[Text], shots: Sequence[Shot], *, title: str) -> None:
    """Write lines as a terminal of `WIDTH` columns, below the pictures; longer lines are wrapped.

    Args:
        file: the picture; one that exists is replaced.
        lines: the lines.
        shots: pictures of 4:3, from left to right.
        title: stands above the lines.

    Raises:
        OSError: the file cannot be written.
    """
    console = Console(
        record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH, highlight=False
    )
    for line in lines:
        console.print(line)
    terminal = console.export_svg(title=title, code_format=_FORMAT, unique_id="demo")
    write_atomically(file, _above(shots, terminal).encode())


def _above(shots: Sequence[Shot], terminal: str) -> str:
    """Return one picture of the shots and the terminal."""
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', terminal)
    width, height = map(float, size.groups()) if size else (0.0, 0.0)
    each = (width - _GAP * (len(shots) - 1)) / max(1, len(shots))
    top = each * 3 / 4 + _CAPTION if shots else 0.0
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top + height:g}">',
            *(_shown(shot, number * (each + _GAP), each) for number, shot in enumerate(shots)),
            terminal.replace("<svg ", f'<svg y="{top:g}" width="{width:g}" height="{height:g}" ', 1),
            "</svg>\n",
        ]
    )


def _shown(shot: Shot, left: float, width: float) -> str:
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.resize(picture, (_PIXELS, _PIXELS * 3 // 4), interpolation=cv2.INTER_AREA)  # type: ignore[arg-type]
    data = base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()).decode()
    # Colours that can be read on white and on black.
    colour, height = "#2da44e" if shot.right else "#d4552f", width * 3 / 4
    return (
        f'<image x="{left:g}" width="{width:g}" height="{height:g}" href="data:image/jpeg;base64,{data}"/>\n'
        f'<text x="{left + width / 2:g}" y="{height + 20:g}" text-anchor="middle" fill="{colour}" '
        f'font-family="DejaVu Sans, Helvetica, sans-serif" font-size="17">{escape(shot.caption)}</text>'
    )
