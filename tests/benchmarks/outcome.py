"""The results of a part of the benchmark: tables, ratios and charts, independent of their output format."""

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
    """A chart with one bar per name.

    Attributes:
        name: name of the chart's file.
    """

    name: str
    title: str
    unit: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Lines:
    """A chart with one line per name; all lines have the same x values."""

    name: str
    title: str
    unit: str
    x_unit: str
    x: Sequence[float]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one part.

    Attributes:
        text: describes the measurement in one or two sentences.
        ratios: the ratios written to bench.json.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    ratios: Mapping[str, Spread] = field(default_factory=dict)
    charts: Sequence[Bars | Lines] = ()
