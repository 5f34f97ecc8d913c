"""Write down how to go on with training, and read it back."""

from pathlib import Path
from typing import Any, Final

import torch

from worker.domain.errors import SettingsError
from worker.models.store import atomic_file
from worker.training.options import differences

FOLDER: Final = "checkpoint"
_FILE: Final = "last.pt"


def save_checkpoint(out: Path, *, options: dict[str, Any], data: str, training: dict[str, Any]) -> None:
    """Replace the checkpoint of a folder; it is complete at any time.

    Args:
        out: the folder that training writes.
        options: as `worker.training.options.recorded` returns them.
        data: hash of the data.
        training: as `Training.state` returns it.
    """
    with atomic_file(out / FOLDER / _FILE) as unfinished:
        torch.save({"options": options, "data": data, "training": training}, unfinished)


def has_checkpoint(out: Path) -> bool:
    """Tell whether there is something to go on from."""
    return (out / FOLDER / _FILE).is_file()


def load_checkpoint(out: Path, *, options: dict[str, Any], data: str) -> dict[str, Any]:
    """Return what `Training.restore` takes.

    Raises:
        SettingsError: there is none, or it is of other options or data.
    """
    file = out / FOLDER / _FILE
    if not file.is_file():
        raise SettingsError([f"{out} has no checkpoint to go on from: leave out --resume"])
    try:
        found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise SettingsError(
            [f"{file} is damaged ({error}): train again without --resume, into a new folder"]
        ) from error
    changed = differences(found["options"], options)
    if found["data"] != data:
        changed.append("the data are others")
    if changed:
        raise SettingsError([f"--resume goes on with the same options and data, but {each}" for each in changed])
    training: dict[str, Any] = found["training"]
    return training
