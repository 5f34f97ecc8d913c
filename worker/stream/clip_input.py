"""How the prepared pictures of a clip become the input of a model, also when some of them are damaged.

A frame that cannot be decoded is a dead letter, and to its clip it is as if it had never been sent: the clip's policy
for gaps says what its places show.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.clips import ClipSpan, label_of_clip
from worker.domain.errors import FrameRejected
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.samples import ClipPlan, Picture, Sample

DAMAGED: Final = "damaged-clip"


class ShownClip(NamedTuple):
    """A clip as the model is shown it.

    Attributes:
        length: places of the input that are used, from the first on; 0 if the model is not asked.
        geometry: of the newest good frame.
        answers: the frames that get a result.
        places: for each answer, the place whose result is its own.
        covers: the frames that are shown and get no result.
        skipped: the frames that nothing becomes of.
        damaged: the frames that cannot be decoded, and why.
        span: which clip it is; None where each answer has a result of its own.
        label: of the clip.
        before: seconds that decoding its new frames took before.
    """

    length: int
    geometry: Geometry | None
    answers: Sequence[EncodedFrame] = ()
    places: Sequence[int] = ()
    covers: Sequence[EncodedFrame] = ()
    skipped: Sequence[EncodedFrame] = ()
    damaged: Sequence[tuple[EncodedFrame, FrameRejected]] = ()
    span: ClipSpan | None = None
    label: str | None = None
    before: float = 0.0


def show_clip(sample: Sample, plan: ClipPlan, out: NDArray[np.uint8]) -> ShownClip:
    """Wait for the pictures of a clip, and write them to their places.

    Args:
        sample: a clip; its `pictures` are done or being made.
        plan: the sample's.
        out: where to: (places, height, width, channels), uint8.
    """
    pictures = [each.result() for each in sample.pictures]
    found = {_offset(frame): picture.found for frame, picture in zip(sample.frames, pictures, strict=True)}
    took = {_offset(frame): picture.took for frame, picture in zip(sample.frames, pictures, strict=True)}
    new = (*plan.covers, *sample.answers)
    good = [each for each in new if isinstance(found[_offset(each)], Geometry)]
    is_good = {_offset(each) for each in good}
    answers = [
        (each, place) for each, place in zip(sample.answers, plan.places, strict=True) if _offset(each) in is_good
    ]
    if plan.label is not None and not answers and good:
        answers = [(good[-1], plan.places[-1])]  # the clip ends with the last frame that there is
    carriers = {_offset(each) for each, _ in answers}
    # What was published before a restart has its outcome; a clip's other frames still need one.
    open_answers = [each for each in answers if _offset(each[0]) not in plan.published]
    rest = [each for each in good if _offset(each) not in plan.published | carriers]
    damaged = [
        (each, error)
        for each in new
        if isinstance(error := found[_offset(each)], FrameRejected) and _offset(each) not in plan.published
    ]
    before = sum(took[_offset(each)] for each in new)
    shown = _shown(plan, pictures)
    if shown is None or not answers:
        skipped = [*rest, *(each for each, _ in open_answers)]
        return ShownClip(0, None, skipped=skipped, damaged=damaged, before=before)
    if not open_answers:
        return ShownClip(0, None, covers=rest, damaged=damaged, before=before)

    for place, index in enumerate(shown):
        out[place] = pictures[index].pixels
    used = [sample.frames[index].frame for index in sorted(set(shown))]
    newest = next(each.found for each in reversed(pictures) if isinstance(each.found, Geometry))
    return ShownClip(
        length=len(shown),
        geometry=newest,
        answers=[each for each, _ in open_answers],
        places=[place for _, place in open_answers],
        covers=rest,
        damaged=damaged,
        span=ClipSpan(used[0], used[-1], len(used), len(shown)) if plan.label is not None else None,
        label=label_of_clip(used, plan.label) if plan.label is not None else None,
        before=before,
    )


def _offset(encoded: EncodedFrame) -> int:
    return encoded.frame.position.offset


def _shown(plan: ClipPlan, pictures: Sequence[Picture]) -> Sequence[int] | None:
    """Return for each place which picture it shows; None if too many are damaged."""
    good = [index for index, each in enumerate(pictures) if isinstance(each.found, Geometry)]
    if len(good) == len(pictures):
        return plan.shown
    if len(good) < plan.least or not good:
        return None
    if plan.gap == "shorten":
        return [index for index in plan.shown if index in good]
    return [max((each for each in good if each <= index), default=good[0]) for index in plan.shown]
