"""Charts of an evaluation, as PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from worker.evaluation.boxes import BoxScore
from worker.evaluation.calibration import Calibration

NAMED = 40
"""Classes of a confusion matrix up to which each is named."""
COUNTED = 20
"""Classes up to which each cell says its count."""


def plot_confusion(file: Path, counted: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Draw a confusion matrix: a row for each label, a column for each prediction, the colour the share of the row.

    Only labels that occur have a row, and only classes that occur or are predicted a column.

    Args:
        file: where to, .png.
        counted: frames by (truth, predicted), (classes, classes).
        labels: class names by index.
    """
    rows: list[int] = np.flatnonzero(counted.sum(axis=1)).tolist()
    columns: list[int] = np.flatnonzero(counted.sum(axis=0) + counted.sum(axis=1)).tolist()
    cells = counted[np.ix_(rows, columns)]
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    width, height = (min(24.0, 3 + 0.45 * len(each)) for each in (columns, rows))
    figure = Figure(figsize=(width + 1.5, height), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(columns) <= NAMED:
        names = [labels[index] for index in columns]
        axes.set_xticks(range(len(columns)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), [labels[index] for index in rows])
    if len(columns) <= COUNTED:
        for (row, column), count in np.ndenumerate(cells):
            if count:
                shade = "white" if shares[row, column] > 0.6 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)
    axes.set(xlabel="predicted", ylabel="label")
    figure.colorbar(image, ax=axes, label="share of the label's frames", shrink=0.8)
    _save(figure, file)


def plot_calibration(file: Path, found: Calibration) -> None:
    """Draw how often the model is right where it is so sure, above how many frames that are."""
    figure = Figure(figsize=(5, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = [each for each in found.bins if each.frames]
    upper.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    upper.plot([each.sure for each in filled], [each.right for each in filled], marker="o", label="this model")
    error = "unknown" if found.error is None else f"{found.error:.3f}"
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right", title=f"expected calibration error {error}")
    upper.legend()
    width = 1 / len(found.bins)
    lower.bar([each.low + width / 2 for each in found.bins], [each.frames for each in found.bins], width=0.9 * width)
    lower.set(xlabel="probability of the most likely class", ylabel="frames")
    _save(figure, file)


def plot_thresholds(file: Path, scores: Sequence[BoxScore], *, chosen: float) -> None:
    """Draw precision, recall and F1 of a detector over its threshold.

    Args:
        file: where to, .png.
        scores: each named by its threshold.
        chosen: the threshold in the manifest.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    places = [float(each.name) for each in scores]
    for name in ("precision", "recall", "f1"):
        axes.plot(places, [getattr(each, name) for each in scores], marker=".", label=name)
    axes.axvline(chosen, color="grey", linestyle="--", label="in the manifest")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold", ylabel="share, at an IoU of 0.5")
    axes.legend()
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    # Without pyplot, which keeps every figure and looks for a display.
    FigureCanvasAgg(figure)
    figure.savefig(file, dpi=110)
