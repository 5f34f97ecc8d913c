"""The folder of an evaluation: the report, tables, charts, and a sheet of pictures with mistakes."""

import csv
from collections.abc import Callable, Collection, Mapping
from dataclasses import astuple
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.domain.boxes import TrueBox
from worker.domain.times import EventMillis
from worker.evaluation.box_report import BoxMistake, BoxReport, Detecting
from worker.evaluation.boxes import Looked
from worker.evaluation.classes import confusion, frames_by_pair
from worker.evaluation.named_report import NamedMistake, NamedReport, Naming
from worker.evaluation.plots import plot_calibration, plot_confusion, plot_thresholds
from worker.evaluation.report import ClassReport, Evaluated, Mistake
from worker.evaluation.reports import Found, Report
from worker.evaluation.sheet import Tile, contact_sheet
from worker.media.opencv_path import opencv_path
from worker.views.drawing import draw
from worker.views.shown import Facts, ShownBox

Pixels = NDArray[np.uint8]
Pictures = Callable[[Collection[int]], Mapping[int, Pixels]]
"""Returns the pictures at these offsets of the data, RGB, (height, width, 3)."""

SHEET = "mistakes.jpg"


def write_report(folder: Path, report: Report, found: Found, pictures: Pictures) -> None:
    """Write the report, and what belongs to it, into a folder, which is created.

    Args:
        folder: where to.
        report: as of `report_of`.
        found: what it is of.
        pictures: reads the pictures of mistakes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    match report, found:
        case ClassReport(), Evaluated():
            _write_classes(folder, report, found, pictures)
        case NamedReport(), Naming():
            shown = pictures([each.offset for each in report.mistakes])
            _write_sheet(folder, [_wrongly_named(shown[each.offset], each) for each in report.mistakes])
        case BoxReport(), Detecting():
            _write_boxes(folder, report, found, pictures)


def _write_classes(folder: Path, report: ClassReport, found: Evaluated, pictures: Pictures) -> None:
    """Write the confusions as a table and as a chart, the calibration, and the surest mistakes."""
    counted = confusion(found.rows, len(found.labels))
    with (folder / "confusion.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("label", "predicted", "frames"))
        # Few of many pairs occur: a thousand classes have a million.
        table.writerows(astuple(each) for each in frames_by_pair(counted, found.labels))
    plot_confusion(folder / "confusion.png", counted, found.labels)
    plot_calibration(folder / "calibration.png", report.calibration)
    shown = pictures([each.offset for each in report.mistakes])
    _write_sheet(folder, [_tile(shown[each.offset], each) for each in report.mistakes])


def _write_boxes(folder: Path, report: BoxReport, found: Detecting, pictures: Pictures) -> None:
    """Write precision and recall over the threshold, and the pictures with most mistakes."""
    plot_thresholds(folder / "thresholds.png", report.by_threshold, chosen=report.threshold)
    shown, rows = pictures([each.offset for each in report.mistakes]), {each.offset: each for each in found.rows}
    _write_sheet(
        folder,
        [_drawn(shown[each.offset], rows[each.offset].above(report.threshold), each) for each in report.mistakes],
    )


def _write_sheet(folder: Path, tiles: list[Tile]) -> None:
    if tiles:
        cv2.imwrite(opencv_path(folder / SHEET), cv2.cvtColor(contact_sheet(tiles), cv2.COLOR_RGB2BGR))


def _tile(pixels: Pixels, mistake: Mistake) -> Tile:
    title = f"{mistake.label}, not {mistake.predicted}"
    return Tile(pixels, title, f"{100 * mistake.probability:.0f} % sure; {mistake.frame}")


def _wrongly_named(pixels: Pixels, mistake: NamedMistake) -> Tile:
    wrong = [*(f"+{name}" for name in mistake.false_alarms), *(f"-{name}" for name in mistake.misses)]
    return Tile(pixels, " ".join(wrong), mistake.frame)


def _drawn(pixels: Pixels, row: Looked, mistake: BoxMistake) -> Tile:
    boxes = tuple(ShownBox(each.index, each.name, each.score, each.box) for each in row.found)
    true_boxes = tuple(TrueBox(each.label, each.box) for each in row.truth)
    facts = Facts(camera=row.camera, captured_at=EventMillis(0), boxes=boxes, true_boxes=true_boxes)
    title = f"{mistake.misses} missed, {mistake.false_alarms} false"
    return Tile(draw(pixels, facts), title, mistake.frame)
