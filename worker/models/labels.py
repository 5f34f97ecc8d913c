"""The names of a model's classes by index, from the forms in which people have them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

_WITHIN: Final = ("id2label", "label2id", "names", "classes", "categories", "labels", "class_to_idx")
"""Keys under which other tools save the names of classes; their files have other keys too."""
_NUMBERED: Final = re.compile(r"(\d+)\s*[\s:;,.)=|-]\s*(\S.*)")
_FORMS: Final = "give one class name per line, a JSON or YAML list, or a mapping from index to name"


class LabelsFault(ValueError):
    """The text says why these are no class names by index."""


def labels_from(file: Path) -> tuple[str, ...]:
    """Read class names from a file: a name per line, or JSON or YAML, as the name or the first character tells.

    Raises:
        LabelsFault: they cannot be read, or an index has no name or two.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsFault(f"{file} cannot be read ({error}): {_FORMS}, in UTF-8") from error
    if not text.strip():
        raise LabelsFault(f"{file} is empty: {_FORMS}")
    try:
        if text.lstrip()[0] in "[{":
            return labels_of(json.loads(text))
        if file.suffix in {".yaml", ".yml"}:
            return labels_of(yaml.safe_load(text))
        return _of_lines([line.strip() for line in text.rstrip().splitlines()])
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise LabelsFault(f"{file} is neither JSON nor YAML ({error}): {_FORMS}") from error
    except LabelsFault as error:
        raise LabelsFault(f"{file}: {error}") from None


def labels_of(found: object) -> tuple[str, ...]:
    """Read class names from what a JSON or YAML text contains.

    >>> labels_of({"cat": 0, "dog": 1}) == labels_of({"id2label": {"1": "dog", "0": "cat"}}) == ("cat", "dog")
    True

    Raises:
        LabelsFault: an index has no name or two, or a name is no text.
    """
    match found:
        case Mapping():
            if within := next((key for key in _WITHIN if isinstance(found.get(key), Mapping | list)), None):
                return labels_of(found[within])
            return _by_index(_pairs(found))
        case [Mapping(), *_]:
            rows = [each for each in found if isinstance(each, Mapping)]
            return _by_index([(_index(_first(each, "id", "index")), _first(each, "name", "label")) for each in rows])
        case list() if found:
            return tuple(_name(each, number) for number, each in enumerate(found))
    raise LabelsFault(f"it has no class names: {_FORMS}")


def _of_lines(lines: Sequence[str]) -> tuple[str, ...]:
    if empty := [number for number, line in enumerate(lines, 1) if not line]:
        # An empty line would shift all classes after it.
        raise LabelsFault(f"line {empty[0]} is empty: give each line a class name")
    numbered = [(int(match[1]), match[2]) for line in lines if (match := _NUMBERED.fullmatch(line))]
    indexes = sorted(index for index, _ in numbered)
    if len(numbered) == len(lines) > 1 and indexes == list(range(1, len(lines) + 1)):
        raise LabelsFault("its lines count from 1, and classes count from 0: leave the numbers out, or count from 0")
    return _by_index(numbered) if indexes == list(range(len(lines))) else tuple(lines)


def _pairs(found: Mapping[Any, Any]) -> list[tuple[int | None, Any]]:
    """Return index and name of each class, from a mapping of either direction."""
    forward = [(_index(key), value) for key, value in found.items()]
    backward = [(_index(value), key) for key, value in found.items()]
    by_index = all(index is not None for index, _ in forward)
    # Of digits in both places, as of MNIST, the texts are the names.
    return forward if by_index and not all(isinstance(name, int) for name in found.values()) else backward


def _by_index(pairs: Sequence[tuple[int | None, Any]]) -> tuple[str, ...]:
    indexes = [index for index, _ in pairs]
    if None in indexes:
        raise LabelsFault(f"{pairs[indexes.index(None)][1]!r} has no index: {_FORMS}")
    if twice := [index for index in indexes if indexes.count(index) > 1]:
        raise LabelsFault(f"the index {twice[0]} has two names: give each index from 0 on one name")
    names = dict(pairs)
    if missing := [index for index in range(len(names)) if index not in names]:
        raise LabelsFault(
            f"{len(names)} names have indexes up to {max(index for index in indexes if index is not None)}, and "
            f"the index {missing[0]} has none: give each index from 0 on a name"
        )
    return tuple(_name(names[index], index) for index in range(len(names)))


def _index(found: object) -> int | None:
    if isinstance(found, str) and found.strip().isdecimal():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _first(found: Mapping[str, Any], *keys: str) -> Any:
    return next((found[key] for key in keys if key in found), None)


def _name(found: object, index: int) -> str:
    """Return a name; of several, such as WordNet's id and the name, the last."""
    last = found[-1] if isinstance(found, list) and found else found
    if not isinstance(last, str) or not last.strip():
        raise LabelsFault(f"the name of index {index} is {last!r}: give a text, and quote no, yes and numbers")
    return last.strip()
