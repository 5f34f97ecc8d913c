"""A model that is loaded once, and takes pictures as often as asked."""

from collections.abc import Iterable, Iterator, Sequence
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import numpy as np
from PIL import Image
from pydantic import ValidationError

from worker.api.pictures import Item, Picture
from worker.api.results import Result
from worker.domain.errors import SettingsError
from worker.ops.logs import log_as_library

if TYPE_CHECKING:
    from worker.models.loaded import LoadedModel
    from worker.settings.offline import Groups


class Options(TypedDict, total=False):
    """Settings of the model, by their names in the group `model`."""

    weights: str | None
    device: str
    engine: Literal["auto", "eager", "compile", "openvino", "onnxruntime"]
    precision: Literal["fp32", "bf16", "fp16", "int8"]
    memory_format: Literal["channels_last", "contiguous"]
    preparation: Literal["exact", "uint8", "reduced", "nvjpeg"]
    orientation: Literal["stored", "upright"]
    bit_depth: int | None
    threads: int | None
    streams: int | Literal["auto"]
    top_k: int
    masks: bool


class Model:
    """A loaded model. Call it with pictures, from any thread, and also several times at once.

    Attributes:
        name: as its manifest says.
        version: the first 12 hex digits of the sha256 of its weights.
        task: what it does, such as "classify".
        labels: its class names by index.
    """

    def __init__(self, loaded: "LoadedModel", groups: "Groups", task: str) -> None:
        self.name, self.version = loaded.identity
        self.task = task
        self.labels: Sequence[str] = loaded.task.labels
        self._loaded = loaded
        self._groups = groups

    def __call__(self, pictures: Iterable[Item]) -> Iterator[Result]:
        """Return the results of pictures, which are read as results are taken, a bounded number ahead.

        A picture that cannot be used has a `Refused` as its result; nothing is raised for it. A model of single
        pictures has one result for each, in the same order. Models that look at several pictures have their results in
        the order of each camera: of clips, one for each clip.

        Args:
            pictures: anything that yields encoded bytes, paths of files, arrays, pictures of Pillow, or `Picture`; it
                may have no end. It is read in another thread.

        Raises:
            TypeError: this is one picture. Raised by the call; all others are raised by the iterator.
            WorkerError: something other than a picture is broken, such as the model.
            Exception: whatever the iterable raises, after the results of the pictures before.
        """
        if _is_one(pictures):
            raise TypeError(
                f"{type(pictures).__name__} is one picture, a file or a path: give a list of pictures, such as "
                "model([picture]), or those of a folder, as model(worker.read(folder))"
            )
        from worker.api.running import run

        return run(self._loaded, self._groups, iter(pictures))

    def __repr__(self) -> str:
        return f"<worker.Model {self.name}@{self.version}: {self.task}, {len(self.labels)} classes>"


def load(model: str | Path | None = None, *, config: str | Path | None = None, **options: Unpack[Options]) -> Model:
    """Load a model for use in this program: the same pipeline as a worker's, without Kafka.

    Args:
        model: the folder of a model, its manifest file, or the name of a model, as everywhere with `--model`; None: the
            one of `config` or of the environment.
        config: a worker's settings as a YAML file: its model, sampling, window and limits are used.
        **options: settings of the model, such as `device="cuda"` or `top_k=1`, which come before those of `config`.

    Raises:
        SettingsError: a setting has a fault, or there is no model. The text names all faults.
        ModelUnavailable: the model cannot be loaded as described.
    """
    if unknown := options.keys() - Options.__annotations__.keys():
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"load() has no option {', '.join(sorted(unknown))}: its options are config, {known}")
    log_as_library()
    from worker.models.build import build_model, find_manifest
    from worker.settings import fault_of
    from worker.tuning.in_force import offline_groups

    chosen = {f"model.{name}": value for name, value in options.items()}
    try:
        groups = offline_groups(None if config is None else Path(config), model, chosen)
    except ValidationError as error:
        raise SettingsError([fault_of(("model", *each["loc"]), each) for each in error.errors()]) from None
    manifest = find_manifest(groups.model)
    loaded = build_model(manifest, groups.model)
    loaded.warm_up(1)
    return Model(loaded, groups, manifest.task)


def _is_one(pictures: object) -> bool:
    """Tell whether this is one picture, although one could iterate over it: over its bytes, characters or rows."""
    if isinstance(pictures, np.ndarray):
        return pictures.dtype != object and pictures.ndim < 4
    return isinstance(pictures, bytes | bytearray | memoryview | str | Path | IOBase | Image.Image | Picture)
