"""An evaluation as a person reads it on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from worker.evaluation.box_report import BoxMistake, BoxReport
from worker.evaluation.boxes import BoxScore, MeanPrecision
from worker.evaluation.named_report import NamedAccuracy, NamedMistake, NamedReport
from worker.evaluation.report import Accuracy, Against, ClassReport, Mistake
from worker.evaluation.tables import share, table

WORST = 20
"""Classes that are listed at most: those with the lowest F1."""


def summary_of(report: ClassReport | NamedReport | BoxReport) -> Group:
    """Return what is to be printed of a report."""
    return Group(f"{report.model} ({report.task}) on {report.data}", *_left_out(report), *sections_of(report))


def sections_of(report: ClassReport | NamedReport | BoxReport) -> Iterator[RenderableType]:
    """Yield what is to be printed of a report's predictions."""
    match report:
        case ClassReport():
            yield from _of_classes(report)
        case NamedReport():
            yield from _of_several(report)
        case BoxReport():
            yield from _of_boxes(report)


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
    yield table("classes", columns, [(each.name, *_row(each)) for each in report.classes])
    best = max(report.by_threshold, key=lambda each: each.f1 or 0)
    yield f"best F1 of all thresholds: {share(best.f1)} at {best.name}"
    if report.mistakes:
        yield table(
            "pictures with most mistakes",
            ("frame", *_camera_column(report.mistakes), "misses", "false alarms", "surest"),
            [
                (*_where(each, report.mistakes), str(each.misses), str(each.false_alarms), share(each.surest))
                for each in report.mistakes
            ],
        )
    if (rival := report.against) is not None:
        yield f"against {rival.model}: {_found(rival.boxes, rival.mean_average_precision)}"


def _found(score: BoxScore, mean: MeanPrecision, threshold: float | None = None) -> str:
    at = "" if threshold is None else f" at threshold {threshold:g}"
    return (
        f"{score.hits} hits, {score.misses} misses, {score.false_alarms} false alarms{at}: precision "
        f"{share(score.precision)}, recall {share(score.recall)}; mAP {share(mean.coco)}, "
        f"at 0.5 {share(mean.at_50)}, at 0.75 {share(mean.at_75)}"
    )


def _row(score: BoxScore) -> tuple[str, ...]:
    counts = (str(score.hits), str(score.misses), str(score.false_alarms))
    return (*counts, *map(share, (score.precision, score.recall, score.f1, score.average_precision)))


def _of_classes(report: ClassReport) -> Iterator[RenderableType]:
    yield from _accuracy(report.accuracy)
    if not report.accuracy.labelled:
        yield "No frame has a label that names a class of the model: there is nothing to compare with."
        return
    yield from _classes(report)
    if report.confused:
        yield table(
            "most frequent mistakes",
            ("label", "predicted", "frames"),
            [(each.label, each.predicted, str(each.frames)) for each in report.confused],
        )
    error = report.calibration.error
    if error is not None:
        yield f"expected calibration error {error:.3f}: the mean distance of probability and share that is right"
    if report.mistakes:
        yield table(
            "surest mistakes",
            ("frame", *_camera_column(report.mistakes), "label", "predicted", "probability"),
            [
                (*_where(each, report.mistakes), each.label, each.predicted, f"{each.probability:.3f}")
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
    yield table(
        title,
        ("class", "hits", "misses", "false alarms", "precision", "recall", "F1"),
        [
            (
                *(each.name, str(each.hits), str(each.misses), str(each.false_alarms)),
                *map(share, (each.precision, each.recall, each.f1)),
            )
            for each in rows[:WORST]
        ],
    )
    if report.mistakes:
        yield table(
            "frames with most wrong classes",
            ("frame", *_camera_column(report.mistakes), "missed", "false alarms"),
            [
                (*_where(each, report.mistakes), ", ".join(each.misses), ", ".join(each.false_alarms))
                for each in report.mistakes
            ],
        )
    if (rival := report.against) is not None:
        yield f"against {rival.model}: {_named(rival.accuracy)}"


def _named(found: NamedAccuracy) -> str:
    line = (
        f"exact {share(found.exact_ratio)} ({found.exact} of {found.labelled}), Jaccard {share(found.jaccard)}, "
        f"mean F1 of the classes {share(found.macro_f1)}"
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
    yield table(
        title,
        ("class", "labelled", "precision", "recall", "F1"),
        [
            (each.name, str(each.labelled), share(each.precision), share(each.recall), share(each.f1))
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


AnyMistake = Mistake | NamedMistake | BoxMistake


def _camera_column(mistakes: Sequence[AnyMistake]) -> tuple[str, ...]:
    """Return the column of cameras; none where all are of one camera, or each picture is a camera of its own."""
    cameras = {each.camera for each in mistakes if each.camera != each.frame}
    return ("camera",) if len(cameras) > 1 else ()


def _where(mistake: AnyMistake, mistakes: Sequence[AnyMistake]) -> tuple[str, ...]:
    """Return the frame and, if there is a column for it, the camera; nothing for a picture that is of no camera."""
    camera = "" if mistake.camera == mistake.frame else mistake.camera
    return (mistake.frame, camera) if _camera_column(mistakes) else (mistake.frame,)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
