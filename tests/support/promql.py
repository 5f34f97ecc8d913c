"""Extract the selectors and labels of a PromQL query; Prometheus itself checks the rest."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[a-zA-Z_:][\w:]*|\d[\w.]*|=~|!~|!=|==|[<>]=|[-+*/%^(){}\[\],=<>]')
_LABELS_FOLLOW: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_OPERATORS: Final = frozenset({"and", "or", "unless", "bool", "offset"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition in the braces of a selector."""

    label: str
    operator: str
    value: str

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series with these labels matches."""
        found = labels.get(self.label, "")
        same = bool(re.fullmatch(self.value, found)) if "~" in self.operator else found == self.value
        return same is not self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric, and the conditions on its series."""

    metric: str
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """The selectors of a query, and the labels it groups or joins by."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]


def parse_query(text: str) -> Query:
    """Parse a query; any name that is not a function, aggregation, operator or label is a metric."""
    tokens = [*_TOKEN.findall(text), ""]
    selectors, labels, at = list[Selector](), set[str](), 0
    while at < len(tokens) - 1:
        name, following = tokens[at], tokens[at + 1]
        at += 1
        if name in _LABELS_FOLLOW and following == "(":
            end = tokens.index(")", at)
            labels.update(label for label in tokens[at + 1 : end] if label != ",")
            at = end + 1
        elif re.match("[a-zA-Z_:]", name) and name not in _OPERATORS and following not in {"(", "by", "without"}:
            end = tokens.index("}", at) + 1 if following == "{" else at
            selectors.append(Selector(name, tuple(_matchers(tokens[at + 1 : end - 1]))))
            at = end
        elif name == "[":  # a duration follows
            at = tokens.index("]", at) + 1
    return Query(tuple(selectors), frozenset(labels))


def _matchers(tokens: list[str]) -> Iterator[Matcher]:
    parts = [part for part in tokens if part != ","]
    for label, operator, value in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield Matcher(label, operator, value[1:-1])
