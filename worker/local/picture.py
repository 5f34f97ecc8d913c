"""Write what a terminal shows as an SVG picture, for a page."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from worker.models.store import write_atomically

WIDTH: Final = 80
"""Columns."""
# A picture of a page loads nothing from elsewhere: the viewer's own fonts are used.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code,", "DejaVu Sans Mono, Menlo, Consolas,"
)


def write_picture(file: Path, lines: Sequence[Text], *, title: str) -> None:
    """Write lines as a picture of a terminal of `WIDTH` columns; longer lines are wrapped.

    Args:
        file: the picture; one that exists is replaced.
        lines: the lines.
        title: stands above them.

    Raises:
        OSError: the file cannot be written.
    """
    console = Console(
        record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH, highlight=False
    )
    for line in lines:
        console.print(line)
    write_atomically(file, console.export_svg(title=title, code_format=_FORMAT, unique_id="demo").encode())
