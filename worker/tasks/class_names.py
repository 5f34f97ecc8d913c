"""A model's classes: their names, and what a label means."""

from collections import defaultdict
from collections.abc import Sequence

from worker.domain.results import ScoredClass


class ClassNames:
    """The class names of a model, by index.

    Names need not be unique (ImageNet has two cranes), so a label may stand for several indices.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        by_name: defaultdict[str, set[int]] = defaultdict(set)
        for index, name in enumerate(self.names):
            by_name[name].add(index)
        self._by_name = {name: frozenset(indices) for name, indices in by_name.items()}

    def __len__(self) -> int:
        return len(self.names)

    def indices(self, label: str) -> frozenset[int]:
        """Return the classes a label stands for: a name, else a decimal index; empty if it is neither.

        A name wins over an index, because a model's classes may themselves be called "7".
        """
        if named := self._by_name.get(label):
            return named
        if label.isascii() and label.isdigit() and int(label) < len(self.names):
            return frozenset({int(label)})
        return frozenset()

    def scored(self, indices: Sequence[int], probabilities: Sequence[float]) -> tuple[ScoredClass, ...]:
        """Name ranked classes."""
        return tuple(ScoredClass(i, self.names[i], p) for i, p in zip(indices, probabilities, strict=True))
