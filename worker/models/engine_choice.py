"""`model.engine: auto`: OpenVINO where it gives torch's answers for this model on this machine, else uncompiled torch.

The first start compares the two, in a process of its own: a crash there ends no worker, and its memory is free again.
The cache keeps the verdict for the later starts.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten
from typing import Final, Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelUnavailable
from worker.models.build import (
    build_model,
    cached,
    contradictions,
    find_manifest,
    require_libraries,
    source_of,
    threads_per_stream,
)
from worker.models.container import memory_limit
from worker.models.engines.child import end_of
from worker.models.engines.torch_engine import describe_processor
from worker.models.manifest import Manifest
from worker.models.store import FolderUnusable, write_atomically
from worker.settings import ModelGroup
from worker.tasks.classify import Classify
from worker.tasks.clip import ClassifyClip
from worker.tasks.embed import Embed
from worker.tasks.frame_values import FrameValues
from worker.tasks.multi_label import MultiLabel
from worker.tasks.segment import Segment

JUDGED: Final = frozenset(
    {Classify.name, ClassifyClip.name, Embed.name, FrameValues.name, MultiLabel.name, Segment.name}
)
"""Tasks whose answers can be compared number by number. Which boxes a detector keeps may change with the last bit of a
score, and a recurrent model passes that bit on for hours."""
TOLERANCE: Final = 1e-3
"""Largest difference, as a share of the largest number. In float32, sums in another order differ by some millionths:
networks of fifty layers by 5e-6. A wrong operation differs by far more."""
MOST_COPIES: Final = 2**30
"""Bytes of all copies of the weights. OpenVINO keeps at least two for each stream, and torch one for all of them."""
_COPIES_A_STREAM: Final = 2
_COMPARISON: Final = 7 * 2**28
"""Bytes for a comparison and the process that waits for it: torch, what writes ONNX, and OpenVINO."""
_COMPARISON_A_BYTE: Final = 8
"""Bytes for each byte of weights: of torch, of the ONNX file as it is written, and of each network of OpenVINO."""
_FEWEST: Final = 4
_LARGEST_BATCH: Final = 4096
_SOURCES: Final = ("engine_choice", "graph", "heads", "cnn_rnn", "engines.openvino_engine", "engines.onnx_export")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_MOST_SAID: Final = 200
_TRY: Final = f"import sys; from {__name__} import print_verdict; print_verdict(sys.argv[1])"


class EngineChoice(msgspec.Struct, frozen=True):
    """What runs the model, and why.

    Attributes:
        why: for people, the end of a sentence.
    """

    engine: Literal["eager", "openvino"]
    why: str


def choose_engine(
    manifest: Manifest, group: ModelGroup, *, comparing: Callable[[str], None] = lambda _: None
) -> EngineChoice:
    """Choose what runs a model for which the settings say `engine: auto`.

    Args:
        manifest: of the model.
        group: settings that name this model, with a number of streams.
        comparing: is told, for people, when the comparison begins; not where the cache has its result.

    Raises:
        ModelUnavailable: there is no such device.
    """
    for why in _against(manifest, group):
        return EngineChoice("eager", why)
    try:
        file = cached(manifest, ".engine.json", _key(manifest, group))
    except FolderUnusable as error:
        return EngineChoice("eager", str(error))
    if (remembered := _remembered(file)) is not None:
        return remembered
    comparing("comparing OpenVINO with torch for this model: this takes about ten seconds, once")
    return compared(group, file)


def compare_with_torch(manifest: Manifest, group: ModelGroup) -> EngineChoice:
    """Compare OpenVINO with uncompiled torch, in calls of every size for which a stream has a model of its own.

    Raises:
        FolderUnusable: the cache cannot be written.
        ModelUnavailable: neither can run the model.
        MemoryError: there was no memory for both.
    """
    one = group.model_copy(update={"streams": 1, "threads": threads_per_stream(group)})
    torchs = build_model(manifest, one.model_copy(update={"engine": "eager"}))
    full = torchs.parts(_LARGEST_BATCH)[0].stop
    samples = drawn(max(full + 1, _FEWEST), torchs.input_shape)
    expected = torchs.engine(samples)
    try:
        others = build_model(manifest, one.model_copy(update={"engine": "openvino"}))
        found = [(count, others.engine(samples[:count])) for count in (*range(1, full + 1), len(samples))]
    except (FolderUnusable, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises, torch can run it
        return EngineChoice("eager", f"OpenVINO cannot run this model: {_said(str(error))}")
    worst = np.max([difference({name: each[:count] for name, each in expected.items()}, a) for count, a in found])
    what = f"{len(samples)} {'clips' if manifest.clip else 'pictures'}"
    if worst <= TOLERANCE:
        return EngineChoice("openvino", f"it agrees with torch within {worst:.0e} on {what}")
    return EngineChoice("eager", f"OpenVINO differs from torch by {worst:.2g} on {what}")


def print_verdict(group: str) -> None:
    """Compare for the process that has started this one, and print the choice as JSON, in the last line."""
    settings = ModelGroup.model_validate_json(group)
    choice = compare_with_torch(find_manifest(settings), settings)
    sys.stdout.write(msgspec.json.encode(choice).decode() + "\n")


def difference(expected: Arrays, found: Arrays) -> float:
    """Return by how much two engines differ on the same samples: 0 if they say the same, infinity for other shapes.

    Args:
        expected: what the graph's head puts out, by the engine that is right.
        found: by the other one.

    Returns:
        The largest difference of two numbers, as a share of the largest number of their array. Of areas, the share of
        the places with another class. NaN if there is one.
    """
    if {name: each.shape for name, each in expected.items()} != {name: each.shape for name, each in found.items()}:
        return float("inf")
    # Scores of both signs cancel in their sum.
    return float(np.max([_of_array(name, expected, found) for name in expected if name != "total"]))


def drawn(count: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Draw samples, the same each time: from two colours that run into each other to noise.

    Args:
        count: of samples.
        shape: of one, (height, width, channels), or of a clip of such pictures.

    Returns:
        uint8, (count, *shape).
    """
    *_, height, width, channels = shape
    chance = torch.Generator().manual_seed(0)
    pictures = int(np.prod((count, *shape[:-3])))
    drawing = torch.empty(pictures, channels, height, width)
    for number in range(pictures):
        cells = 2 ** (1 + number % 8)
        colours = torch.rand(1, channels, cells, cells, generator=chance)
        drawing[number] = interpolate(colours, (height, width), mode="bilinear", align_corners=True)
    pixels: NDArray[np.uint8] = (255 * drawing.permute(0, 2, 3, 1)).round().to(torch.uint8).numpy()
    return pixels.reshape(count, *shape)


def _of_array(name: str, expected: Arrays, found: Arrays) -> float:
    right, other = expected[name], found[name]
    if name == "indices":
        return _of_ranks(expected, found)
    if np.issubdtype(right.dtype, np.integer):
        return float((right != other).mean())
    return float(np.abs(right - other).max() / (np.abs(right).max() or 1.0))


def _of_ranks(expected: Arrays, found: Arrays) -> float:
    """Return how far apart classes lie that have changed places; those of equal scores may."""
    right, other = expected["probabilities"], found["probabilities"]
    same = expected["indices"][:, None, :] == found["indices"][:, :, None]  # (samples, place there, place here)
    # A class that is not among the first here has at most the lowest probability of these.
    theirs = np.where(same.any(2), (same * right[:, None, :]).sum(2), right[:, -1:])
    return float(np.abs(theirs - other).max() / (np.abs(right).max() or 1.0))


def _against(manifest: Manifest, group: ModelGroup) -> Iterator[str]:
    """Yield why there is nothing to compare."""
    if manifest.task not in JUDGED:
        yield f"OpenVINO is not chosen by itself for the task {manifest.task}"
    if group.precision != "fp32":
        yield f"OpenVINO is not chosen by itself for precision {group.precision}"
    yield from contradictions(group.model_copy(update={"engine": "openvino"}))
    try:
        require_libraries("openvino")
    except ModelUnavailable as error:
        yield str(error)
    if not manifest.file.is_file():
        yield f"{manifest.file} is missing"
        return
    weights, limit = manifest.file.stat().st_size, memory_limit()
    if (copies := _COPIES_A_STREAM * group.streams_or_one * weights) > MOST_COPIES:
        yield f"OpenVINO's copies of the weights would take {_gib(copies)}: fewer model.streams need less"
    if (needed := _COMPARISON + _COMPARISON_A_BYTE * weights) > limit:
        yield f"to compare OpenVINO with torch takes {_gib(needed)} of memory, and there are {_gib(limit)}"


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def compared(group: ModelGroup, file: Path, program: str = _TRY) -> EngineChoice:
    """Compare in a process of its own, and keep in a file what it says; after a crash, the next start tries again.

    Args:
        group: settings that name the model.
        file: the verdict's.
        program: the source of what compares; it gets the settings as JSON, and prints the choice as `print_verdict`.
    """
    ended = end_of(program, group.model_dump_json())
    if ended.returncode < 0:
        return EngineChoice("eager", f"OpenVINO crashes with this model (signal {-ended.returncode})")
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return EngineChoice("eager", f"OpenVINO could not be compared with torch: {_said(last)}")
    choice = msgspec.json.decode(ended.stdout.splitlines()[-1], type=EngineChoice)
    with suppress(FolderUnusable):  # then the next start compares again
        write_atomically(file, msgspec.json.encode(choice))
    return choice


def _said(text: str) -> str:
    """Return the first line of what a library says, without colours."""
    return shorten(_COLOURS.sub("", text).strip().partition("\n")[0], _MOST_SAID)


def _remembered(file: Path) -> EngineChoice | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=EngineChoice)
    except (OSError, msgspec.MsgspecError):  # a damaged verdict is none
        return None


def _key(manifest: Manifest, group: ModelGroup) -> list[object]:
    """List all that a verdict depends on."""
    return [
        replace(manifest, file=Path()),  # known by its hash, wherever it lies
        *(group.top_k, threads_per_stream(group), describe_processor("cpu")),
        *(torch.__version__, version("openvino"), version("onnx"), version("onnxscript")),
        *(source_of(f"worker.models.{module}") for module in _SOURCES),
    ]
