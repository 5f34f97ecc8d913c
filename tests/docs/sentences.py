"""How long are the sentences of a page?"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

_END: Final = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
_GOES_ON: Final = re.compile(r"(?:^|[\s(\[])(?:e\.g|i\.e|etc|cf|vs|approx|[A-Z])\.$")
"""An abbreviation, or the initial of a name: its dot ends no sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What sentences must keep to.

    Attributes:
        longest: words in a sentence, at most.
        mean: words in a sentence on average, less than this.
    """

    longest: int
    mean: float


README: Final = Limits(30, 16)
OTHER_PAGES: Final = Limits(35, 20)


def limits_of(page: str) -> Limits:
    """Return what the sentences of a page must keep to."""
    return README if page == "README.md" else OTHER_PAGES


def sentences(paragraphs: Iterable[str]) -> Iterator[str]:
    """Yield the sentences of paragraphs. No sentence goes from one paragraph, or item of a list, to the next."""
    for paragraph in paragraphs:
        unfinished = ""
        for piece in _END.split(paragraph.strip()):
            unfinished = f"{unfinished} {piece}".strip()
            if not _GOES_ON.search(unfinished):
                yield unfinished
                unfinished = ""
        if unfinished:
            yield unfinished


def words(sentence: str) -> int:
    """Count words; a span of code and a number are one each, and punctuation alone is none."""
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def mean_words(found: Sequence[str]) -> float:
    """Return the mean number of words; 0 for a page without sentences."""
    return mean(map(words, found)) if found else 0.0


def too_long(found: Iterable[str], longest: int) -> list[str]:
    """Return the sentences with more words than `longest`, each with its number of words."""
    return [f"{words(each)} words: {each}" for each in found if words(each) > longest]
