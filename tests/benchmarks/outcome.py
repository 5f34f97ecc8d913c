"""What a part of the bench comes to: tables, ratios and charts, without a word of how they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.measure import Spread


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row names it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar a name.

    Attributes:
        name: of the chart's file.
    """

    name: str
    title: str
    unit: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Lines:
    """One line a name, through the same places of x."""

    name: str
    title: str
    unit: str
    x_unit: str
    x: Sequence[float]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one part.

    Attributes:
        text: what was measured, in a sentence or two.
        ratios: those that bench.json names.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    ratios: Mapping[str, Spread] = field(default_factory=dict)
    charts: Sequence[Bars | Lines] = ()
