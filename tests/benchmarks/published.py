"""Write what the documentation shows of a run: a table and a chart."""

from pathlib import Path
from typing import Final

from tests.benchmarks.outcome import Outcome
from tests.benchmarks.report import circumstances, render
from tests.benchmarks.svg import draw
from tests.support.generated import DOCS, fill

PAGE: Final = "benchmarks.md"


def publish(outcome: Outcome, docs: Path = DOCS, *, quick: bool) -> None:
    """Write an outcome with one chart between the marks of the chart's name, and the chart to a file of this name.

    Args:
        outcome: the outcome.
        docs: the folder of the page and the chart.
        quick: whether it was a quick run.
    """
    (chart,) = outcome.charts
    (docs / f"{chart.name}.svg").write_text(draw(chart), encoding="utf-8")
    shown = [outcome.text, f"![{chart.title}]({chart.name}.svg)", *map(render, outcome.tables)]
    shown.append("\n".join(f"- {line}" for line in circumstances(quick=quick)))
    fill(docs / PAGE, chart.name, "\n\n".join(shown))
