"""Write a trained model as a folder that the worker loads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from worker.domain.clips import ClipShape
from worker.domain.networks import Recurrence
from worker.domain.preprocessing import Preprocessing
from worker.models.manifest import write_manifest
from worker.models.store import atomic_file, write_atomically
from worker.training.card import Card, as_json, as_text
from worker.training.curves import write_curves
from worker.training.options import Options
from worker.training.samples import SILENCE_MS, Timing


def write_model(
    folder: Path,
    state: Mapping[str, torch.Tensor],
    options: Options,
    *,
    names: Sequence[str],
    numbers: Preprocessing,
    timing: Timing | None,
    card: Card,
    arguments: Mapping[str, Any],
) -> None:
    """Write weights, manifest, class names, card and curves.

    Args:
        folder: exists; files of the same names are replaced.
        state: the weights by name, on the CPU.
        options: name the network.
        names: of the classes, by index.
        numbers: the preprocessing.
        timing: of clips and sequences.
        card: what is known of the model.
        arguments: of torchvision's builder.
    """
    weights = f"{options.model}.pth"
    with atomic_file(folder / weights) as unfinished:
        torch.save(dict(state), unfinished)
    network: dict[str, Any] = {"name": card.name, "architecture": options.model, "weights": weights}
    if options.shape is not None:
        parts = {name: getattr(options.shape, name) for name in options.shape.__slots__}
        network["network"] = {name: value for name, value in parts.items() if value is not None}
    if arguments:
        network["arguments"] = dict(arguments)
    if options.task == "detect":
        network["threshold"] = options.threshold
    clip = ClipShape(timing.frames, timing.rate) if timing and timing.rate and options.task == "clip" else None
    recurrence = Recurrence(timing.rate, SILENCE_MS) if timing and options.task == "recurrent" else None
    write_manifest(
        folder,
        network,
        labels=names,
        preprocessing=numbers,
        task=options.task,
        clip=clip,
        recurrence=recurrence,
    )
    write_atomically(folder / "card.json", json.dumps(as_json(card), indent=1, ensure_ascii=False).encode())
    write_atomically(folder / "README.md", as_text(card).encode())
    write_curves(folder / "curves.png", card.history, score_name=card.score_name, best_epoch=card.best_epoch)
