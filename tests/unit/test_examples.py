"""The examples of training are what they say they are, and a short form of one is learned."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.training import figures_of
from tests.support.digits import write_digits
from tests.support.motions import FRAMES, MOTIONS, RATE, write_motions
from tests.support.objects import OBJECTS, SIDE, write_scenes
from worker.data.clips import cut_clips
from worker.data.items import in_order_of_time
from worker.data.labelled import read_labelled
from worker.training.options import Options
from worker.training.train import train

pytestmark = pytest.mark.slow


def test_a_clip_of_the_motions_is_one_motion_and_moves_as_it_says(tmp_path: Path) -> None:
    items = read_labelled(write_motions(tmp_path / "motions", ("coffee", "china"), each=5))
    clips = [
        clip for stream in in_order_of_time(items).values() for clip in cut_clips(stream, frames=FRAMES, rate=RATE)
    ]

    assert Counter(clip.label for clip in clips) == dict.fromkeys(MOTIONS, 10)
    assert all(len({each.label for each in clip.places}) == 1 for clip in clips)
    # A window that moves to the right shows everything further to the left.
    for motion, (axis, sign) in {"left": (0, 1), "right": (0, -1), "up": (1, 1), "down": (1, -1)}.items():
        shown = [clip.places for clip in clips if clip.label == motion]
        moved = [shift_of(each[n].file, each[n + 1].file) for each in shown for n in (2, 4)]
        assert np.sign(np.median([each[axis] for each in moved])) == sign


def shift_of(before: Path, after: Path) -> tuple[float, float]:
    """Return how far what is seen moves, (across, down), in pixels."""
    pictures = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in (before, after)]
    one, other = (each.astype(np.float32) for each in pictures if each is not None)
    (across, down), _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F))
    return across, down


def test_scenes_have_boxes_inside_that_do_not_touch(tmp_path: Path) -> None:
    items = read_labelled(write_scenes(tmp_path / "scenes", ("brick", "grass"), each=15))
    boxes = [each for item in items for each in item.boxes or ()]

    assert {each.group for each in items} == {"brick", "grass"}
    assert {each.label for each in boxes} == set(OBJECTS)
    assert any(item.boxes == () for item in items)
    assert all(min(each.box) >= 0 and max(each.box) <= SIDE for each in boxes)


def test_digits_are_learned(tmp_path: Path) -> None:
    data = write_digits(tmp_path / "digits", each=60)
    options = Options(
        task="classify", model="resnet18", weights="none", layers="all", size=(28, 28), epochs=2, batch=16, threads=1
    )

    train(data, tmp_path / "model", options)

    assert figures_of(tmp_path / "model")["accuracy"]["value"] > 0.7
