"""Which name is meant by one that does not exist?"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_ALIKE: Final = 0.75
"""How much of two names must be the same, from 0 to 1: one letter of four may differ."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like this one; None if none is.

    Upper and lower case, and characters between words, do not count: `bootstrap-servers`, `bootstrapServers`.
    """
    by_letters = {_letters(each): each for each in known}
    found = get_close_matches(_letters(name), by_letters, n=1, cutoff=_ALIKE)
    return by_letters[found[0]] if found else None


def or_meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return what to do about a name that does not exist: take the one that is meant, or something else if none is."""
    meant = closest(name, known)
    return f"did you mean {meant}?" if meant else otherwise


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
