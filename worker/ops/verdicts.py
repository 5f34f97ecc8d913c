"""Metrics of how right predictions are: of one class, of several classes, and of boxes."""

from collections import Counter as Tallies
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from worker.domain.results import AnyVerdict, BoxVerdict, HitCounts, NamedVerdict, Verdict
from worker.ops.counts import Rightness


class VerdictMetrics:
    """Counts verdicts by camera.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"vision_worker_{name}", text, ("camera", *labels), registry=registry)

        self._labelled = counter("labelled", "Predictions whose label names a class.")
        self._correct = counter("correct", "Labelled predictions that are right, by top 1 or 5.", "top")
        self._boxes = counter("boxes", "Boxes of detectors compared with true boxes.", "verdict")
        self._several = counter("multi_label", "Sums over labelled predictions of several classes.", "measure")
        self._named = counter("named_classes", "Named classes compared with those of labels.", "verdict")

    def count(self, camera: str, verdicts: Sequence[AnyVerdict]) -> Rightness:
        """Count what was delivered of a camera: at least one verdict; return their sum."""
        self._labelled.labels(camera).inc(len(verdicts))
        if classes := [each for each in verdicts if isinstance(each, Verdict)]:
            right = sum(verdict.top1 for verdict in classes)
            self._correct.labels(camera, "1").inc(right)
            self._correct.labels(camera, "5").inc(sum(verdict.top5 for verdict in classes))
            return Rightness(len(verdicts), right)
        boxes, named, several = Tallies[str](), Tallies[str](), Tallies[str]()
        for verdict in verdicts:
            match verdict:
                case BoxVerdict(counts=counts):
                    boxes.update(counts._asdict())
                case NamedVerdict():
                    named.update({name: len(classes) for name, classes in verdict._asdict().items()})
                    several.update({"exact": verdict.exact, "jaccard": verdict.jaccard})
        for counter, sums in ((self._boxes, boxes), (self._named, named), (self._several, several)):
            for name, count in sums.items():
                counter.labels(camera, name).inc(count)
        return Rightness(len(verdicts), int(several["exact"]), HitCounts(**boxes) if boxes else None)

    def forget(self, camera: str) -> None:
        """Remove the series of a camera."""
        for series in (self._labelled, self._correct, self._boxes, self._several, self._named):
            series.remove_by_labels({"camera": camera})
