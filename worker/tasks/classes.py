"""A model's classes: what a label means, and whether the most likely classes are right."""

from collections import defaultdict
from collections.abc import Sequence

from worker.domain.results import ScoredClass, Verdict

TOP5 = 5


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

    def judge(self, label: str | None, ranking: Sequence[int]) -> Verdict | None:
        """Hold the five highest ranked classes against a label; None if there is no label or it means no class."""
        truth = self.indices(label) if label is not None else frozenset()
        if not truth:
            return None
        return Verdict(top1=ranking[0] in truth, top5=any(index in truth for index in ranking[:TOP5]))
