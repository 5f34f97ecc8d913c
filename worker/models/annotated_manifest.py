"""How is a manifest written so that a person sees where each line comes from?"""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple

import yaml

_COLUMNS: Final = 110


class Line(NamedTuple):
    """A field of a manifest.

    Attributes:
        field: its name.
        value: what YAML can say.
        source: where it comes from; empty if that is plain.
    """

    field: str
    value: Any
    source: str = ""


def annotated(lines: Iterable[Line]) -> str:
    """Return a manifest as YAML, with the source of each line as a comment above it.

    >>> print(annotated([Line("weights", "best.pth", "a copy")]), end="")
    # a copy
    weights: best.pth
    """
    return "".join(map(_as_yaml, lines))


def section(values: Any) -> Mapping[str, Any]:
    """Return what differs from the defaults of a dataclass, as YAML can say it."""
    usual = {each.name: each.default for each in fields(values)}
    found = {name: value for name, value in asdict(values).items() if value != usual[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _as_yaml(line: Line) -> str:
    comment = "".join(f"# {each}\n" for each in textwrap.wrap(line.source, _COLUMNS))
    style = None if isinstance(line.value, Mapping) else False
    return comment + yaml.safe_dump({line.field: line.value}, sort_keys=False, default_flow_style=style, width=_COLUMNS)
