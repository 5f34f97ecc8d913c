"""An evaluation as a person reads it on a terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table

from worker.evaluation.report import Accuracy, Against, ClassReport

WORST = 20
"""Classes that are listed at most: those with the lowest F1."""


def summary_of(report: ClassReport) -> Group:
    """Return what is to be printed of a report."""
    return Group(*_parts(report))


def _parts(report: ClassReport) -> Iterator[RenderableType]:
    yield f"{report.model} ({report.task}) on {report.data}"
    yield from _accuracy(report.accuracy)
    for what, reasons in (("dead letters", report.rejected), ("skipped", report.skipped)):
        if reasons:
            yield f"{what}: {', '.join(f'{count} {reason}' for reason, count in reasons.items())}"
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


def _accuracy(found: Accuracy) -> Iterator[str]:
    yield f"{found.seen} predicted, {found.labelled} labelled"
    if found.top1 is None or found.top5 is None:
        return
    line = f"top 1 {_percent(found.top1)} ({found.correct_top1} right), top 5 {_percent(found.top5)}"
    if found.top1_interval95 is None:
        yield f"{line}; all frames are of one camera, so there is no interval: they are not independent"
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
