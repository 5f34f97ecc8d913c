"""What is done about classes that are rarer than others."""

from collections import Counter
from collections.abc import Collection, Sequence


def class_weights(classes: Sequence[int], count: int) -> list[float]:
    """Return a factor for each class's loss, so that all classes weigh the same together; their mean is 1.

    A class without samples gets 0.

    >>> class_weights([0, 0, 0, 1], 2)
    [0.5, 1.5]
    """
    seen = Counter(classes)
    inverse = [1 / seen[each] if seen[each] else 0.0 for each in range(count)]
    total = sum(inverse) / max(1, len(seen))
    return [each / total if total else 0.0 for each in inverse]


def sample_weights(classes: Sequence[Collection[int]]) -> list[float]:
    """Return how often each sample is drawn, in proportion, so that all classes are drawn equally often.

    A sample that shows several classes is drawn as often as the rarest of them asks for; one that shows none, as often
    as one of the most frequent class.

    >>> sample_weights([[0], [0], [1], []])
    [0.5, 0.5, 1.0, 0.5]
    """
    seen = Counter(name for found in classes for name in set(found))
    usual = 1 / max(seen.values(), default=1)
    return [max((1 / seen[name] for name in found), default=usual) for found in classes]
