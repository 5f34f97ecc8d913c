"""All that `evaluate` says of a model that names several classes, as one document."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from worker.domain.intervals import Interval, share_interval
from worker.domain.results import HitCounts
from worker.evaluation.run import HitScore, Run
from worker.wire import AccuracyMessage, MultiLabelMessage


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A prediction of several classes that was compared with a label.

    Attributes:
        offset: of its frame.
        misses: classes of the label that it does not name.
        false_alarms: classes that it names, and the label does not.
    """

    offset: int
    camera: str
    frame_id: str
    misses: tuple[str, ...]
    false_alarms: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether it names the classes of the label, and no others."""
        return not (self.misses or self.false_alarms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming(Run):
    """The run of a model that names several classes.

    Attributes:
        rows: its labelled predictions.
        accuracy: the last accuracy message of each camera.
    """

    rows: Sequence[NamedRow]
    accuracy: Sequence[AccuracyMessage]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAccuracy:
    """The sums of what the worker publishes as running accuracy.

    Attributes:
        exact: frames whose named classes are those of the label.
        exact_ratio: the share of the labelled that is exact; None of nothing.
        exact_interval95: where the true share lies; None if the frames do not tell (`share_interval`).
        jaccard: the mean Jaccard index of the labelled: the share of the classes in either that are in both.
        macro_f1: the mean F1 of the classes that are named or in a label.
    """

    seen: int
    labelled: int
    exact: int
    exact_ratio: float | None
    exact_interval95: Interval | None
    jaccard: float | None
    macro_f1: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMistake:
    """A frame whose named classes are not those of the label; `offset` is its number among the data, from 0."""

    offset: int
    camera: str
    frame: str
    misses: list[str]
    false_alarms: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRival:
    """How another model does on the same frames."""

    model: str
    accuracy: NamedAccuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReport:
    """The evaluation of a model that names several classes.

    Attributes:
        classes: those that are named or in a label, by index.
        mistakes: the frames with most wrong classes.
    """

    version: int = 1
    model: str
    task: str = "multi_label"
    data: str
    accuracy: NamedAccuracy
    rejected: dict[str, int]
    skipped: dict[str, int]
    classes: list[HitScore]
    mistakes: list[NamedMistake]
    against: NamedRival | None = None


def named_rows(messages: Iterable[MultiLabelMessage]) -> Iterator[NamedRow]:
    """Yield the predictions that the worker has compared with a label, in the order of the messages."""
    for message in messages:
        if (correct := message.correct) is not None:
            frame = message.frame
            wrong = tuple(correct.misses), tuple(correct.false_alarms)
            yield NamedRow(frame.offset, frame.camera, frame.id, *wrong)


def named_report(found: Naming, *, data: str, most: int) -> NamedReport:
    """Put the report of a model together.

    Args:
        found: what the worker has published.
        data: what it was evaluated on.
        most: mistakes that are listed.
    """
    wrong = sorted(
        (each for each in found.rows if not each.exact),
        key=lambda each: (-len(each.misses) - len(each.false_alarms), each.offset),
    )
    return NamedReport(
        model=str(found.model),
        data=data,
        accuracy=_accuracy(found),
        rejected=dict(Counter(found.rejected)),
        skipped=dict(Counter(found.skipped)),
        classes=_scores(found),
        mistakes=[
            NamedMistake(
                offset=each.offset,
                camera=each.camera,
                frame=each.frame_id,
                misses=list(each.misses),
                false_alarms=list(each.false_alarms),
            )
            for each in wrong[:most]
        ],
    )


def with_named_rival(report: NamedReport, rival: Naming) -> NamedReport:
    """Add to a report how another model does on the same frames."""
    return replace(report, against=NamedRival(model=str(rival.model), accuracy=_accuracy(rival)))


def _accuracy(found: Naming) -> NamedAccuracy:
    """Add up what the worker has counted of each camera."""
    labelled = sum(each.labelled for each in found.accuracy)
    several = [each.multi_label for each in found.accuracy if each.multi_label]
    exact, jaccard = sum(each.exact for each in several), sum(each.jaccard_sum for each in several)
    f1 = [each.f1 for each in _scores(found) if each.f1 is not None]
    return NamedAccuracy(
        seen=sum(each.seen for each in found.accuracy),
        labelled=labelled,
        exact=exact,
        exact_ratio=exact / labelled if labelled else None,
        exact_interval95=share_interval([each.exact for each in found.rows], [each.camera for each in found.rows])
        if labelled
        else None,
        jaccard=jaccard / labelled if labelled else None,
        macro_f1=sum(f1) / len(f1) if f1 else None,
    )


def _scores(found: Naming) -> list[HitScore]:
    sums = defaultdict[str, HitCounts](HitCounts)
    for message in found.accuracy:
        for each in message.multi_label.classes if message.multi_label else ():
            sums[each.name] = sums[each.name].plus(HitCounts(each.hits, each.misses, each.false_alarms))
    return [_score(name, sums[name]) for name in found.labels if name in sums]


def _score(name: str, counts: HitCounts) -> HitScore:
    return HitScore(name=name, **counts._asdict(), precision=counts.precision, recall=counts.recall, f1=counts.f1)
