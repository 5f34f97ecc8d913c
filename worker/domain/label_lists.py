"""Labels of a picture that shows several classes, or none: one text that names them all."""

import json
from collections.abc import Iterable


def read_labels(text: str) -> tuple[str, ...] | None:
    """Read the names that a label lists: a JSON list of names or indices, or one of them alone.

    An empty list says that the picture shows none of the classes.

    Returns:
        The names, and indices as texts; None if the label begins as a list and is none.

    >>> read_labels('["hat", "glasses"]'), read_labels("hat"), read_labels("[]")
    (('hat', 'glasses'), ('hat',), ())
    >>> read_labels('["hat", 3]'), read_labels("[hat]")
    (('hat', '3'), None)
    """
    if not text.lstrip().startswith("["):
        return (text,)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    named = all(isinstance(each, str | int) and not isinstance(each, bool) for each in found)
    return tuple(str(each) for each in found) if named else None


def write_labels(names: Iterable[str]) -> str:
    """Write names as `read_labels` reads them.

    >>> write_labels(["hat", "glasses"])
    '["hat", "glasses"]'
    """
    return json.dumps(list(names), ensure_ascii=False)
