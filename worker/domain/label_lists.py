"""Labels of a picture that shows several classes, or none: one text that names them all."""

import json
from collections.abc import Iterable


def read_labels(text: str) -> tuple[str, ...] | None:
    """Read the names that a label lists: a JSON list of texts, or one name; None if it begins as a list and is none.

    An empty list says that the picture shows none of the classes.

    >>> read_labels('["hat", "glasses"]'), read_labels("hat"), read_labels("[]")
    (('hat', 'glasses'), ('hat',), ())
    >>> read_labels('["hat", 3]'), read_labels("[hat]")
    (None, None)
    """
    if not text.startswith("["):
        return (text,)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if all(isinstance(each, str) for each in found) else None


def write_labels(names: Iterable[str]) -> str:
    """Write names as `read_labels` reads them.

    >>> write_labels(["hat", "glasses"])
    '["hat", "glasses"]'
    """
    return json.dumps(list(names), ensure_ascii=False)
