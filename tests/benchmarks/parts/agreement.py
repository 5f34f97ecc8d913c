"""Check whether tuning changes answers: compare the tuned model with a plain torchvision loop, with real weights."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import CAMERAS, USUAL, name_of, pictures
from tests.benchmarks.measure import Spread
from tests.benchmarks.outcome import Outcome, Table
from tests.support.pictures import frame_of
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.agreement import Answers, torchvision_loop
from worker.models.build import load_model
from worker.models.manifest import load_manifest
from worker.models.preparation import frame_decoder
from worker.models.ready import ready_model
from worker.settings import Limits, ModelGroup

BATCH = 32


def agreement(bench: Bench) -> Outcome:
    """Compare the most likely classes of MobileNetV2, with its real weights, with torchvision's."""
    folder = ready_model("mobilenet_v2")
    frames = list(_frames())
    ours = _tuned(frames, ModelGroup(path=folder, **bench.engine))
    theirs = torchvision_loop(frames, load_manifest(folder).file)
    same = [name for name, (index, _) in theirs.items() if ours[name][0] == index]
    difference = max(abs(ours[name][1] - theirs[name][1]) for name in same)
    rows = [["same most likely class", f"{len(same)} of {len(frames)}"], ["largest difference", f"{difference:.1e}"]]
    return Outcome(
        "Agreement",
        "The tuned model, with the worker's preparation and engine, compared with torchvision's decoding, transforms "
        f"and network, one picture at a time: MobileNetV2 with its real weights, {name_of(USUAL)}.",
        [Table(("answers", "found"), rows)],
        {"same_as_torchvision": Spread.of([len(same) / len(frames)])},
    )


def _frames() -> Iterator[CapturedFrame]:
    for camera in range(CAMERAS):
        for number, jpeg in enumerate(pictures(USUAL)[camera]):
            yield CapturedFrame(f"camera-{camera}", jpeg, EventMillis(0), "image/jpeg", frame_id=f"{camera}-{number}")


def _tuned(frames: list[CapturedFrame], group: ModelGroup) -> Answers:
    model = load_model(group)
    decode = frame_decoder(model.preprocessing, group, Limits())
    found = {}
    for first in range(0, len(frames), BATCH):
        batch = frames[first : first + BATCH]
        pixels = np.empty((len(batch), *model.input_shape), np.uint8)
        for frame, slot in zip(batch, pixels, strict=True):
            decode(frame_of(frame.data), slot)
        ranked = model.run(pixels)
        for frame, indices, likely in zip(batch, ranked["indices"], ranked["probabilities"], strict=True):
            found[frame.frame_id or ""] = (int(indices[0]), float(likely[0]))
    return found
