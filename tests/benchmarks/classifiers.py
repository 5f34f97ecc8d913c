"""Compare every classifier of torchvision with the worker's: `python -m tests.benchmarks.classifiers`.

Two things are compared for all published weights: what becomes of real photographs, with the preset of the weights, and
what the network answers, with torchvision's own builder. The weights themselves are random numbers, because 40 GB of
files would be needed otherwise: torchvision's builder and the worker read the same file. Only MobileNetV2 has its real
ones. The table is written to docs/classifiers.md. `--only NAME` compares some networks, and writes nothing.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from worker.domain.errors import ModelUnavailable
from worker.domain.frames import Image
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.models.architectures import of_pictures, weights_of
from worker.models.manifest import load_manifest
from worker.models.network import load_network
from worker.models.ready import ready_model, write_published
from worker.models.torch_preparation import prepare_image
from worker.models.torchvision_weights import PublishedWeights, published_weights

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "classifiers.md"
EQUAL: Final = "equal"
_HEAD: Final = """# Classifiers of torchvision

The worker runs each of these networks by its name, with each of its published weights (`model.name`, `model.weights`).
`python -m tests.benchmarks.classifiers` has compared them with torchvision {version}, and has written this page.

- **preparation**: real photographs, prepared by the worker (`model.preparation: exact`) and by the preset of the
  weights (`weights.transforms()` on a tensor). Equal means: every number that the network sees is the same, bit for
  bit.
- **network**: the network of the worker, and that of torchvision's builder with these weights, on one prepared
  photograph. Equal means: every logit is the same bit for bit. Both read the same file. It has random numbers, because
  the published files were not at hand; only that of `mobilenet_v2`, `IMAGENET1K_V1`, is real. Networks whose weights
  differ in nothing but their numbers are compared once.
- **arguments**: what torchvision's builder sets with these weights; the manifest says it.

| network | weights | picture | arguments | preparation | network |
| --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `preparation` and `network` are `EQUAL`, or say how they differ."""

    weights: PublishedWeights
    preparation: str
    network: str

    def __str__(self) -> str:
        told, numbers = self.weights, self.weights.preprocessing
        picture = f"{numbers.resize} to {numbers.crop}, {numbers.interpolation}"
        arguments = ", ".join(f"`{name}: {str(value).lower()}`" for name, value in told.arguments.items())
        facts = (f"`{told.architecture}`", f"`{told.member}`", picture, arguments, self.preparation, self.network)
        return f"| {' | '.join(facts)} |"


def all_weights(names: Sequence[str]) -> Iterator[PublishedWeights]:
    """Yield all weights of these networks that tell classes apart."""
    for name in names:
        for member in weights_of(name).__members__:
            try:
                found = published_weights(name, member)
            except ModelUnavailable:  # feature weights
                continue
            if found.member == member:  # else another name of the same weights, such as DEFAULT
                yield found


def photographs() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return real photographs: wide, high, and smaller than what they are resized to."""
    found = [load_photograph(each) for each in PHOTOGRAPHS]
    return [*found, found[0].transpose(1, 0, 2).copy(), found[1][:150, :201].copy()]


def compare_preparation(told: PublishedWeights) -> str:
    """Compare what the network sees with what it would see of torchvision."""
    preset = weights_of(told.architecture)[told.member].transforms()
    differing = total = 0
    for pixels in photographs():
        expected = preset(torch.from_numpy(pixels).permute(2, 0, 1))
        found = _normalised(pixels, told)
        differing += int((found != expected).sum())
        total += expected.numel()
    return EQUAL if not differing else f"{differing} of {total} numbers differ"


def _normalised(pixels: np.ndarray[Any, np.dtype[np.uint8]], told: PublishedWeights) -> torch.Tensor:
    numbers = told.preprocessing
    out = np.empty((*numbers.crop_size, 3), np.uint8)
    prepare_image(Image(pixels), out, numbers)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (numbers.mean, numbers.std))
    return (torch.from_numpy(out).permute(2, 0, 1).float() / 255 - mean) / std


def compare_network(told: PublishedWeights, scratch: Path) -> str:
    """Compare the logits of a photograph; torchvision reads the file where it would have downloaded it to."""
    file = scratch / "hub" / "checkpoints" / Path(urlsplit(weights_of(told.architecture)[told.member].url).path).name
    file.parent.mkdir(parents=True, exist_ok=True)
    real = (told.architecture, told.member) == ("mobilenet_v2", "IMAGENET1K_V1")
    file.write_bytes(load_manifest(ready_model("mobilenet_v2")).file.read_bytes() if real else b"")
    if not real:
        torch.save(_drawn(told), file)
    pixels = _normalised(load_photograph(PHOTOGRAPHS[0]), told)[None]
    try:
        with _downloads_in(scratch):
            expected = _logits(torchvision.models.get_model(told.architecture, weights=told.member), pixels)
        folder = scratch / f"{told.architecture}-{told.member}"
        folder.mkdir()
        write_published(folder, told, file)
        network = load_network(load_manifest(folder))
        found = _logits(network, pixels)
    finally:
        for each in scratch.glob("**/*.pth"):
            each.unlink()
    return EQUAL if torch.equal(found, expected) else f"up to {float((found - expected).abs().max()):.1e} apart"


def _drawn(told: PublishedWeights) -> dict[str, Any]:
    """Return random weights as torchvision would publish them: with all classifiers, and for their own pictures."""
    torch.manual_seed(7)
    arguments: dict[str, Any] = {}
    if told.architecture.startswith("vit_"):
        arguments["image_size"] = weights_of(told.architecture)[told.member].meta["min_size"][0]
    if told.architecture in {"googlenet", "inception_v3"}:
        arguments |= {"aux_logits": True, "init_weights": False}
    network = torchvision.models.get_model(told.architecture, weights=None, **arguments)
    state: dict[str, Any] = network.state_dict()
    return state


@contextmanager
def _downloads_in(folder: Path) -> Iterator[None]:
    """Let torch.hub use another folder; what `torch.hub.set_dir` sets could not be taken back."""
    before = os.environ.get("TORCH_HOME")
    os.environ["TORCH_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TORCH_HOME"]
        if before is not None:
            os.environ["TORCH_HOME"] = before


def _logits(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    assert isinstance(network, nn.Module)
    with torch.inference_mode():
        found: torch.Tensor = network.eval()(pixels)
    return found


def rows(names: Sequence[str], scratch: Path) -> Iterator[Row]:
    """Compare all weights of these networks, one after another."""
    same: dict[object, str] = {}
    for told in all_weights(names):
        crop = told.preprocessing.crop if told.arguments or told.architecture == "mobilenet_v2" else None
        key = (told.architecture, str(told.arguments), crop)
        if key not in same:
            same[key] = compare_network(told, scratch)
        yield Row(told, compare_preparation(told), same[key])


def main() -> None:
    """Print the table, and write it if it is complete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="compare this network alone; may be repeated")
    only = parser.parse_args().only
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows(only or of_pictures(), Path(scratch)):
            lines.append(f"{row}\n")
            sys.stdout.write(lines[-1])
            sys.stdout.flush()
    if only is None:
        DOCUMENT.write_text(_HEAD.format(version=torchvision.__version__.partition("+")[0]) + "".join(lines))


if __name__ == "__main__":
    main()
