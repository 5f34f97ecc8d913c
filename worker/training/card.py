"""What a trained model is: its card, as JSON for programs and as text for people."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

from worker.training.boxes import BoxFigures
from worker.training.loop import EpochFigures
from worker.training.metrics import Figures, Share
from worker.training.objectives import Measured

_LIBRARIES: Final = ("torch", "torchvision", "numpy", "opencv-python-headless")
_MOST_NAMES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What the data were.

    Attributes:
        path: as it was given.
        sha256: of all names, ground truths and files.
        pictures: that were listed.
        unlabelled: without the ground truth that the task needs; they were left out.
        unreadable: names and reasons; they were left out.
        train_groups: cameras or videos that were learned from.
        held_out_groups: cameras or videos that were only tested with.
        train_samples: by class.
        held_out_samples: by class.
        notes: sentences about the split.
    """

    path: str
    sha256: str
    pictures: int
    unlabelled: int
    unreadable: tuple[str, ...]
    train_groups: tuple[str, ...]
    held_out_groups: tuple[str, ...]
    train_samples: dict[str, int]
    held_out_samples: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything about a trained model.

    Attributes:
        origin: where training began.
        random: names of weights that began at random.
        options: as `worker.training.options.recorded` returns them.
        interrupted: whether a person ended training early.
        measured: of the best epoch, on held-out data.
    """

    name: str
    task: str
    origin: str
    random: tuple[str, ...]
    options: dict[str, Any]
    data: DataFacts
    history: tuple[EpochFigures, ...]
    best_epoch: int
    interrupted: bool
    measured: Measured
    score_name: str


def as_json(card: Card) -> dict[str, Any]:
    """Return the card as plain values."""
    return {
        "name": card.name,
        "task": card.task,
        "begun_with": card.origin,
        "random_at_first": list(card.random),
        "options": card.options,
        "data": asdict(card.data),
        "versions": versions(),
        "epochs": [asdict(each) for each in card.history],
        "best_epoch": card.best_epoch,
        "interrupted": card.interrupted,
        "held_out": {card.score_name: card.measured.score, "loss": card.measured.loss, **_figures(card.measured)},
    }


def versions() -> dict[str, str]:
    """Return the versions of what computed the weights."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def as_text(card: Card) -> str:
    """Return the card as Markdown."""
    return "\n".join([*_heading(card), *_quality(card), *_data(card.data), *_how(card)]) + "\n"


def _heading(card: Card) -> Iterator[str]:
    yield f"# {card.name}"
    yield ""
    yield f"A model for the task `{card.task}`: {card.options['model']}, begun with {card.origin}."
    yield ""
    yield "```sh"
    yield "vision-worker models show ."
    yield "VISION_WORKER_MODEL__PATH=. vision-worker run"
    yield "```"
    yield ""


def _quality(card: Card) -> Iterator[str]:
    yield "## On held-out data"
    yield ""
    yield (
        f"Of {len(card.history)} epochs, number {card.best_epoch} was the best on these data, and is kept. So the "
        "figures are a little better than on data that had no part in the choice."
    )
    yield ""
    match card.measured.figures:
        case Figures() as figures:
            yield f"Accuracy: {figures.accuracy}."
            rows = [(each.name, each.precision, each.recall) for each in figures.classes]
        case BoxFigures() as figures:
            yield f"At an IoU of 0.5 and a score of {card.options['threshold']:g}:"
            yield ""
            yield f"- precision: {figures.precision}"
            yield f"- recall: {figures.recall}"
            yield f"- mean average precision over all scores: {figures.map_50:.3f}"
            yield f"- the same at IoUs from 0.5 to 0.95: {figures.map:.3f}"
            yield ""
            yield "| threshold | precision | recall |"
            yield "| --- | --- | --- |"
            yield from (f"| {each:g} | {one} | {other} |" for each, one, other in figures.by_threshold)
            rows = list(figures.by_class)
    yield ""
    yield "Ranges are 95% intervals. Frames of one camera are alike, so cameras are counted where one has several."
    yield ""
    yield "| class | precision | recall |"
    yield "| --- | --- | --- |"
    for name, precision, recall in rows:
        yield f"| {name} | {precision} | {recall} |"
    yield ""
    yield "![loss and score by epoch](curves.png)"
    yield ""


def _data(data: DataFacts) -> Iterator[str]:
    yield "## Data"
    yield ""
    yield f"- `{data.path}`, sha256 `{data.sha256}`"
    yield f"- pictures: {data.pictures}; without ground truth, left out: {data.unlabelled}"
    yield f"- unreadable, left out: {len(data.unreadable)}"
    yield from (f"  - {each}" for each in data.unreadable[:_MOST_NAMES])
    yield f"- learned from: {_counts(data.train_samples)}; {_names(data.train_groups)}"
    yield f"- held out: {_counts(data.held_out_samples)}; {_names(data.held_out_groups)}"
    yield from (f"- {each}" for each in data.notes)
    yield ""


def _how(card: Card) -> Iterator[str]:
    yield "## Training"
    yield ""
    yield from (f"- {name}: {value}" for name, value in card.options.items())
    yield f"- versions: {', '.join(f'{name} {value}' for name, value in versions().items())}"
    if card.interrupted:
        yield "- a person ended it early"
    yield ""
    yield f"| epoch | loss | accuracy | held-out loss | {card.score_name} | learning rate | seconds |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for each in card.history:
        learned = "" if each.accuracy is None else f"{each.accuracy:.4f}"
        yield (
            f"| {each.epoch} | {each.loss:.4f} | {learned} | {each.held_out_loss:.4f} | {each.score:.4f} "
            f"| {each.learning_rate:.2e} | {each.seconds:.1f} |"
        )


def _counts(samples: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in samples.items())


def _names(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - _MOST_NAMES} more" if len(groups) > _MOST_NAMES else ""
    return f"{len(groups)} cameras, videos or single pictures: {', '.join(groups[:_MOST_NAMES])}{more}"


def _figures(measured: Measured) -> dict[str, Any]:
    match measured.figures:
        case Figures() as figures:
            rows = [(each.name, each.precision, each.recall) for each in figures.classes]
            totals: dict[str, Any] = {
                "accuracy_share": _share(figures.accuracy),
                "confusion": [list(row) for row in figures.confusion],
            }
        case BoxFigures() as figures:
            rows = list(figures.by_class)
            totals = {
                "precision": _share(figures.precision),
                "recall": _share(figures.recall),
                "map_50": figures.map_50,
                "map": figures.map,
                "thresholds": [
                    {"threshold": each, "precision": _share(one), "recall": _share(other)}
                    for each, one, other in figures.by_threshold
                ],
            }
    classes = {name: {"precision": _share(one), "recall": _share(other)} for name, one, other in rows}
    return {**totals, "classes": classes}


def _share(share: Share) -> dict[str, Any]:
    return {
        "value": share.value,
        "right": share.right,
        "total": share.total,
        "groups": share.groups,
        "interval_95": list(share.interval) if share.interval else None,
        "by_group": share.by_group,
    }
