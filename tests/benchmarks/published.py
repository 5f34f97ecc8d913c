"""Write what the documentation shows of a run: a table and a chart."""

from pathlib import Path
from typing import Final

from tests.benchmarks.outcome import Outcome
from tests.benchmarks.report import circumstances, render
from tests.benchmarks.svg import draw
from tests.support.generated import DOCS, fill

PAGE: Final = Path("docs", "benchmarks.md")
README: Final = Path("README.md")


def publish(outcome: Outcome, root: Path = DOCS.parent, *, quick: bool) -> None:
    """Write an outcome with one chart between the marks of the chart's name, and the chart to a file of this name.

    Args:
        outcome: the outcome.
        root: the folder of README and docs.
        quick: whether it was a quick run.
    """
    (chart,) = outcome.charts
    file = PAGE.with_name(f"{chart.name}.svg")
    (root / file).write_text(draw(chart), encoding="utf-8")
    tables = list(map(render, outcome.tables))
    when = "\n".join(f"- {line}" for line in circumstances(quick=quick))
    in_docs = [outcome.text, f"![{chart.title}]({file.name})", *tables, when]
    fill(root / PAGE, chart.name, "\n\n".join(in_docs))
    fill(root / README, chart.name, "\n\n".join([f"![{chart.title}]({file})", *tables]))
