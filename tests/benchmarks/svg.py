"""Draw bar and line charts as SVG."""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.benchmarks.outcome import Bars, Lines

_WIDTH: Final = 720
_MARGIN: Final = 16
_HEAD: Final = 44  # height of the title
_COLOURS: Final = ("#2f6f9f", "#d9822b", "#5a9e6f", "#b0413e", "#7a5ea8")


def draw(chart: Bars | Lines) -> str:
    """Return the chart as an SVG document."""
    return _bars(chart) if isinstance(chart, Bars) else _lines(chart)


def _bars(chart: Bars) -> str:
    row, left, right = 26, 290, 90
    most = max(chart.values.values(), default=0) or 1
    room = _WIDTH - left - right
    parts = []
    for number, (name, value) in enumerate(chart.values.items()):
        y, width = _HEAD + number * row, room * max(0.0, value) / most
        parts += [
            _text(left - 8, y + 15, name, anchor="end"),
            f'<rect x="{left}" y="{y + 2}" width="{width:.1f}" height="{row - 8}" fill="{_COLOURS[0]}"/>',
            _text(left + width + 6, y + 15, _format(value)),
        ]
    return _document(chart.title, chart.unit, parts, _HEAD + len(chart.values) * row + _MARGIN)


def _lines(chart: Lines) -> str:
    left, top, room, height = 60, _HEAD + 10, _WIDTH - 220, 240
    most = max((max(values) for values in chart.values.values()), default=0) or 1
    low, high = min(chart.x), max(chart.x)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + room * (x - low) / ((high - low) or 1), top + height * (1 - y / most)

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        _, y = place(low, most * share)
        parts += [
            f'<line x1="{left}" y1="{y:.1f}" x2="{left + room}" y2="{y:.1f}" stroke="#ddd"/>',
            _text(left - 8, y + 4, _format(most * share), anchor="end"),
        ]
    parts += [_text(place(x, 0)[0], top + height + 20, _format(x), anchor="middle") for x in chart.x]
    parts.append(_text(left + room / 2, top + height + 40, chart.x_unit, anchor="middle"))
    for colour, (name, values) in zip(_COLOURS, chart.values.items(), strict=False):
        points = [place(x, y) for x, y in zip(chart.x, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(points[-1][0] + 10, points[-1][1] + 4, name, colour=colour))
    return _document(chart.title, chart.unit, parts, top + height + 40 + _MARGIN)


def _document(title: str, unit: str, parts: Iterable[str], height: float) -> str:
    lines: Sequence[str] = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}">',
        '<g font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>',
        _text(_MARGIN, 24, f"{title}, {unit}", weight="bold"),
        *parts,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" fill="{colour}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _format(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
