"""Lines of `replay` from two commits: what may differ is masked, and what differs is named by its JSON path."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

ORDER: Final = "order"
"""Lets lines change places, where a field's name lets that field differ."""

_SHOWN: Final = 160
"""Characters of a value."""

# Within a JSON string each quotation mark is escaped, so these patterns find nothing in a text that looks like a field.
_CLOCK: Final = re.compile(r'"(arrived_at_ms|published_at_ms)":\d+')
_SECONDS: Final = re.compile(r'"seconds":\{[^}]*\}')
_NUMBER: Final = re.compile(r'(?<=":)[\d.eE+-]+')
_WORKER_VERSION: Final = re.compile(r'"worker_version":"(?:[^"\\]|\\.)*"')
_STACK: Final = re.compile(r'"stack":"(?:[^"\\]|\\.)*"')
_PLACE: Final = re.compile(r'File \\"[^"\\]*\\", line \d+')

_IDENTITIES: Final = {
    "prediction": ("$.prediction.frame.topic", "$.prediction.frame.partition", "$.prediction.frame.offset"),
    "dead_letter": ("$.dead_letter.topic", "$.dead_letter.partition", "$.dead_letter.offset"),
    "accuracy": ("$.accuracy.topic", "$.accuracy.partition", "$.accuracy.camera"),
}
_Identity = tuple[str | None, ...]
_Pair = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same.

    Attributes:
        path: of the field, as JSON path; `$` is the whole line.
        before: its value as JSON; None where the field is missing.
        after: likewise.
    """

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        sides = {"-": self.before, "+": self.after}
        return "\n".join(
            [self.path, *(f"  {sign} {_shortened(text)}" for sign, text in sides.items() if text is not None)]
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs over the same input printed.

    Attributes:
        before: how many lines there are of each kind.
        after: likewise.
        different: what differs in each line that differs, by the number of the line, from 1.
        allowed: how many lines differ only by what was allowed.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    different: Mapping[int, Sequence[Difference]]
    allowed: int

    def fields(self) -> Mapping[str, int]:
        """Return in how many lines each field differs, the most frequent first; all items of a list count as one."""
        found = Counter[str]()
        for differences in self.different.values():
            found.update({re.sub(r"\[\d+\]", "[]", each.path) for each in differences})
        return dict(found.most_common())


def masked(line: str) -> str:
    """Mask what two runs never have in common: clocks, the worker's version, and where code lies in its files.

    Capture times stay, and so do the stages under `seconds` and all of a dead letter's text.
    """
    line = _CLOCK.sub(r'"\1":"*"', line)
    line = _SECONDS.sub(lambda seconds: _NUMBER.sub('"*"', seconds[0]), line)
    line = _WORKER_VERSION.sub('"worker_version":"*"', line)
    return _STACK.sub(lambda stack: _PLACE.sub(r'File \\"*\\", line *', stack[0]), line)


def compare_lines(before: Sequence[str], after: Sequence[str], allowed: frozenset[str] = frozenset()) -> Comparison:
    """Compare lines of JSON byte for byte, after masking.

    Args:
        before: one JSON object a line, with the kind of message as its only key.
        after: likewise.
        allowed: names of fields that may differ, at any depth; and `order`, if lines may change places.
    """
    before, after = [masked(line) for line in before], [masked(line) for line in after]
    pairs, moved = list[_Pair](zip_longest(before, after)), set[int]()
    if ORDER in allowed:
        pairs, moved = _by_identity(before, after)
    different, only_allowed = dict[int, Sequence[Difference]](), 0
    for number, (old, new) in enumerate(pairs, 1):
        found = _differences(old, new, allowed)
        if found:
            different[number] = found
        elif old != new or number in moved:
            only_allowed += 1
    return Comparison(_kinds(before), _kinds(after), different, only_allowed)


def _differences(before: str | None, after: str | None, allowed: frozenset[str]) -> Sequence[Difference]:
    """Return what differs between two masked lines."""
    if before == after:
        return []
    if before is None or after is None:
        return [Difference("$", before, after)]
    old, new = _fields(before), _fields(after)
    if list(old.items()) == list(new.items()):
        return [Difference("$", before, after)]  # the same content, in other characters
    old, new = _without(old, allowed), _without(new, allowed)
    paths = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    if not paths and list(old) != list(new):
        return [Difference("$", before, after)]  # the same fields, in another order
    return [Difference(path, old.get(path), new.get(path)) for path in paths]


def _by_identity(before: Sequence[str], after: Sequence[str]) -> tuple[list[_Pair], set[int]]:
    """Pair lines about the same frame or tally.

    Returns:
        The pairs, those that only one side has last, and the numbers, from 1, of pairs that are at another place.
    """
    old, new = _identified(before), _identified(after)
    pairs: list[_Pair] = [(line, new.get(identity)) for identity, line in old.items()]
    pairs += [(None, line) for identity, line in new.items() if identity not in old]
    places = {identity: place for place, identity in enumerate(each for each in new if each in old)}
    both = [(number, identity) for number, identity in enumerate(old, 1) if identity in new]
    moved = {number for place, (number, identity) in enumerate(both) if places[identity] != place}
    return pairs, moved


def _identified(lines: Sequence[str]) -> dict[tuple[_Identity, int], str]:
    """Return the lines by what they are about; what comes more than once is counted."""
    found, seen = dict[tuple[_Identity, int], str](), defaultdict[_Identity, int](int)
    for line in lines:
        fields, kind = _fields(line), _kind(line)
        identity = (kind, *(fields.get(path) for path in _IDENTITIES.get(kind, ())))
        found[identity, seen[identity]] = line
        seen[identity] += 1
    return found


def _kinds(lines: Sequence[str]) -> Mapping[str, int]:
    return Counter(map(_kind, lines))


def _kind(line: str) -> str:
    return str(next(iter(json.loads(line)), ""))


def _fields(line: str) -> dict[str, str]:
    """Return the value of each field as JSON, by its path; numbers as they are written."""
    return dict(_leaves("$", json.loads(line, parse_float=_Number, parse_int=_Number)))


class _Number(str):
    """A number as it is written: 0.10 is not 0.1."""

    __slots__ = ()


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}", each)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _leaves(f"{path}[{number}]", each)
    else:
        yield path, value if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def _without(fields: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
    return {path: value for path, value in fields.items() if allowed.isdisjoint(re.split(r"[.\[]", path))}


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
