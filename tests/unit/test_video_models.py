"""torchvision's video models in the worker answer as plain torchvision does; all of them are in tests/benchmarks."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.video_models import clips_of
from tests.support.video_models import by_torchvision, by_worker, drawn_video_model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "frames"), [("r3d_18", 8), pytest.param("mvit_v2_s", 16, marks=pytest.mark.thorough)]
)
def test_a_video_model_answers_as_plain_torchvision_does(tmp_path: Path, architecture: str, frames: int) -> None:
    folder, clips = drawn_video_model(tmp_path, architecture, frames), clips_of(frames, (0, 160))

    found, expected = by_worker(folder)(clips), by_torchvision(folder, architecture)(clips)

    assert expected.max() > 0.02  # of 400 classes
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
