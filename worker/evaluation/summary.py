"""An evaluation as a person reads it on a terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from worker.evaluation.box_report import BoxMistake, BoxReport
from worker.evaluation.boxes import BoxScore, MeanPrecision
from worker.evaluation.named_report import NamedAccuracy, NamedMistake, NamedReport
from worker.evaluation.report import Accuracy, Against, ClassReport, Mistake

WORST = 20
"""Classes that are listed at most: those with the lowest F1."""


def summary_of(report: ClassReport | NamedReport | BoxReport) -> Group:
    """Return what is to be printed of a report."""
    head = f"{report.model} ({report.task}) on {report.data}"
    match report:
        case ClassReport():
            parts = _of_classes(report)
        case NamedReport():
            parts = _of_several(report)
        case BoxReport():
            parts = _of_boxes(report)
    return Group(head, *_left_out(report), *parts)


def _left_out(report: ClassReport | NamedReport | BoxReport) -> Iterator[str]:
    for what, reasons in (("dead letters", report.rejected), ("skipped", report.skipped)):
        if reasons:
            yield f"{what}: {', '.join(f'{count} {reason}' for reason, count in reasons.items())}"


def _of_boxes(report: BoxReport) -> Iterator[RenderableType]:
    yield f"{report.seen} predicted, {report.labelled} with known boxes"
    if not report.labelled:
        yield "No frame has the header or the column boxes: there is nothing to compare with."
        return
    yield _found(report.boxes, report.mean_average_precision, report.threshold)
    columns = ("class", "hits", "misses", "false alarms", "precision", "recall", "F1", "AP at 0.5")
    yield _table("classes", columns, [(each.name, *_row(each)) for each in report.classes])
    best = max(report.by_threshold, key=lambda each: each.f1 or 0)
    yield f"best F1 of all thresholds: {_share(best.f1)} at {best.name}"
    if report.mistakes:
        yield _table(
            "pictures with most mistakes",
            ("frame", "camera", "misses", "false alarms", "surest"),
            [
                (each.frame, _camera(each), str(each.misses), str(each.false_alarms), _share(each.surest))
                for each in report.mistakes
            ],
        )
    if (rival := report.against) is not None:
        yield f"against {rival.model}: {_found(rival.boxes, rival.mean_average_precision)}"


def _found(score: BoxScore, mean: MeanPrecision, threshold: float | None = None) -> str:
    at = "" if threshold is None else f" at threshold {threshold:g}"
    return (
        f"{score.hits} hits, {score.misses} misses, {score.false_alarms} false alarms{at}: precision "
        f"{_share(score.precision)}, recall {_share(score.recall)}; mAP {_share(mean.coco)}, "
        f"at 0.5 {_share(mean.at_50)}, at 0.75 {_share(mean.at_75)}"
    )


def _row(score: BoxScore) -> tuple[str, ...]:
    counts = (str(score.hits), str(score.misses), str(score.false_alarms))
    return (*counts, *map(_share, (score.precision, score.recall, score.f1, score.average_precision)))


def _of_classes(report: ClassReport) -> Iterator[RenderableType]:
    yield from _accuracy(report.accuracy)
    if not report.accuracy.labelled:
        yield "No frame has a label that names a class of the model: there is nothing to compare with."
        return
    yield from _classes(report)
    if report.confused:
        yield _table(
            "most frequent mistakes",
            ("label", "predicted", "frames"),
            [(each.label, each.predicted, str(each.frames)) for each in report.confused],
        )
    error = report.calibration.error
    if error is not None:
        yield f"expected calibration error {error:.3f}: the mean distance of probability and share that is right"
    if report.mistakes:
        yield _table(
            "surest mistakes",
            ("frame", "camera", "label", "predicted", "probability"),
            [
                (each.frame, each.camera, each.label, each.predicted, f"{each.probability:.3f}")
                for each in report.mistakes
            ],
        )
    if report.against is not None:
        yield from _against(report.against, report.model)


def _of_several(report: NamedReport) -> Iterator[RenderableType]:
    found = report.accuracy
    yield f"{found.seen} predicted, {found.labelled} labelled"
    if not found.labelled:
        yield "No frame has a label that lists classes of the model: there is nothing to compare with."
        return
    yield _named(found)
    rows = sorted(report.classes, key=lambda each: (each.f1 or 0.0, each.name))
    title = "classes" if len(rows) <= WORST else f"the {WORST} of {len(rows)} classes with the lowest F1"
    yield _table(
        title,
        ("class", "hits", "misses", "false alarms", "precision", "recall", "F1"),
        [
            (
                *(each.name, str(each.hits), str(each.misses), str(each.false_alarms)),
                *map(_share, (each.precision, each.recall, each.f1)),
            )
            for each in rows[:WORST]
        ],
    )
    if report.mistakes:
        yield _table(
            "frames with most wrong classes",
            ("frame", "camera", "missed", "false alarms"),
            [
                (each.frame, _camera(each), ", ".join(each.misses), ", ".join(each.false_alarms))
                for each in report.mistakes
            ],
        )
    if (rival := report.against) is not None:
        yield f"against {rival.model}: {_named(rival.accuracy)}"


def _named(found: NamedAccuracy) -> str:
    line = (
        f"exact {_share(found.exact_ratio)} ({found.exact} of {found.labelled}), Jaccard {_share(found.jaccard)}, "
        f"mean F1 of the classes {_share(found.macro_f1)}"
    )
    if found.exact_interval95 is None:
        return line
    low, high = found.exact_interval95
    return f"{line}; 95 % interval of exact {low:.3f} to {high:.3f}"


def _accuracy(found: Accuracy) -> Iterator[str]:
    yield f"{found.seen} predicted, {found.labelled} labelled"
    if found.top1 is None or found.top5 is None:
        return
    line = f"top 1 {_percent(found.top1)} ({found.correct_top1} right), top 5 {_percent(found.top5)}"
    if found.top1_interval95 is None:
        yield f"{line}; no interval, because frames of one camera are alike, and there are too few cameras"
    else:
        low, high = found.top1_interval95
        yield f"{line}; 95 % interval {_percent(low)} to {_percent(high)}"


def _classes(report: ClassReport) -> Iterator[RenderableType]:
    labelled = [each for each in report.classes if each.labelled]
    rows = sorted(labelled, key=lambda each: (each.f1 if each.f1 is not None else 2, each.name))
    title = "classes" if len(rows) <= WORST else f"the {WORST} of {len(rows)} classes with the lowest F1"
    yield _table(
        title,
        ("class", "labelled", "precision", "recall", "F1"),
        [
            (each.name, str(each.labelled), _share(each.precision), _share(each.recall), _share(each.f1))
            for each in rows[:WORST]
        ],
    )


def _against(rival: Against, model: str) -> Iterator[str]:
    found = rival.comparison
    frames = found.both_right + found.only_first + found.only_second + found.both_wrong
    yield f"against {rival.model}, on {frames} frames that both have predicted:"
    yield from _accuracy(rival.accuracy)
    yield f"right by {model} alone: {found.only_first}; by {rival.model} alone: {found.only_second}"
    verdict = "is hardly chance" if found.p_value < 0.05 else "may be chance"
    yield f"McNemar's exact test: p = {found.p_value:.2g}; if frames are independent, the difference {verdict}"


def _camera(mistake: Mistake | NamedMistake | BoxMistake) -> str:
    """Return the camera's name; nothing for a picture that is of no camera, whose name is the picture's."""
    return "" if mistake.camera == mistake.frame else mistake.camera


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(
            name, justify="left" if name in {"class", "label", "predicted", "frame", "camera"} else "right"
        )
    for row in rows:
        table.add_row(*row)
    return table


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
