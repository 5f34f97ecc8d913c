"""A picture of how training went."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from worker.domain.errors import SettingsError
from worker.training.loop import EpochFigures
from worker.training.options import Trainable


def check_installed(task: Trainable) -> None:
    """Check for the libraries of the extra `training`, before anything takes long.

    Raises:
        SettingsError: one is missing.
    """
    needed = ["matplotlib", *(["torchmetrics", "pycocotools"] if task == "detect" else [])]
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise SettingsError([f'{", ".join(missing)} not installed: pip install "vision-worker[training]"'])


def write_curves(file: Path, history: Sequence[EpochFigures], *, score_name: str, best_epoch: int) -> None:
    """Draw loss and score over the epochs, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - need not be installed
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    epochs = [each.epoch for each in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(1, 2)
    losses.plot(epochs, [each.loss for each in history], marker=".", label="learned from")
    if any(each.held_out_loss for each in history):
        losses.plot(epochs, [each.held_out_loss for each in history], marker=".", label="held out")
    losses.set(xlabel="epoch", ylabel="loss")
    learned = [each.accuracy for each in history]
    if None not in learned:
        scores.plot(epochs, learned, marker=".", label="learned from")
    scores.plot(epochs, [each.score for each in history], marker=".", label="held out")
    scores.axvline(best_epoch, color="grey", linestyle=":", label="kept")
    scores.set(xlabel="epoch", ylabel=score_name, ylim=(0, 1.02))
    for axes in (losses, scores):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
