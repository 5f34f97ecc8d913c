"""`vision-worker render` as a program of its own, over real photographs and a real video, with real weights."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.bright import with_rectangles, write_bright_areas, write_bright_model
from tests.support.recurrent import write_recurrent_model
from tests.support.warm import run_warm
from worker.domain.boxes import Box
from worker.local.samples import PHOTOGRAPHS, fetch_video, load_photograph
from worker.media.video_file import frame_rate
from worker.models.ready import ready_model

pytestmark = pytest.mark.slow

LABEL = "größer als ein Ägypter"


def render(*arguments: str | Path) -> "CompletedProcess[str]":
    """Render with one thread: on busy cores, the threads of one operation mostly wait for each other."""
    return run_warm("render", *arguments, environment={"OMP_NUM_THREADS": "1"})


def frames_of(file: Path) -> list[NDArray[np.uint8]]:
    video, frames = cv2.VideoCapture(str(file)), list[NDArray[np.uint8]]()
    while True:
        more, pixels = video.read()
        if not more:
            return frames
        frames.append(np.asarray(pixels, np.uint8))


@pytest.fixture(scope="module")
def model() -> Path:
    return ready_model("mobilenet_v2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of two sizes in folders by label, one label with an umlaut, and first of all a broken file."""
    folder = tmp_path_factory.mktemp("pictures")
    for photograph, label in zip(PHOTOGRAPHS[:2], ("Egyptian cat", LABEL), strict=True):
        (folder / label).mkdir()
        pixels = cv2.cvtColor(load_photograph(photograph), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / label / f"{photograph.name}.jpg"), pixels)
    (folder / "Egyptian cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    return folder


def test_a_video_keeps_its_frames_size_rate_and_pixels(model: Path, tmp_path: Path) -> None:
    source, out = fetch_video("carphone"), tmp_path / "out.mp4"
    ran = render(source, "--model", model, "-o", out)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith(f"120 frames, 120 with a prediction, 0 rejected: {out} (")
    before, after = frames_of(source), frames_of(out)
    assert len(after) == len(before) == 120
    assert frame_rate(out) == pytest.approx(frame_rate(source), rel=1e-3)
    for plain, drawn in zip(before[::20], after[::20], strict=True):
        assert drawn.shape == plain.shape
        between = slice(28, 60)  # the rows between the panels
        assert np.abs(drawn[between].astype(int) - plain[between]).mean() < 6
        assert np.abs(drawn.astype(int) - plain).max() > 100


def test_a_recurrent_models_classes_are_drawn_on_every_frame(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    ran = render(fetch_video("carphone"), "--model", write_recurrent_model(tmp_path / "model", rate=10.0), "-o", out)

    assert ran.returncode == 0, ran.stderr
    count, _, rest = ran.stdout.splitlines()[-1].partition(" frames, ")
    assert (count, rest.partition(" ")[0]) in {("120", str(predicted)) for predicted in range(35, 51)}
    for plain, drawn in zip(frames_of(fetch_video("carphone"))[::20], frames_of(out)[::20], strict=True):
        assert np.abs(drawn.astype(int) - plain).max() > 100


def test_pictures_become_a_video_of_one_size(pictures: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    ran = render(pictures, "--model", model, "-o", out, "--rate", "2", "--json")

    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report == {"frames": 3, "predicted": 2, "rejected": 1, "out": str(out), "codec": report["codec"]}
    broken, first, second = frames_of(out)
    height, width = load_photograph(PHOTOGRAPHS[0]).shape[:2]
    assert first.shape == second.shape == (height + height % 2, width + width % 2, 3)
    assert frame_rate(out) == pytest.approx(2)
    assert np.median(broken) < 10
    assert np.median(first) > 60


def test_pictures_become_pictures_of_their_own_size(pictures: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = render(pictures, "--model", model, "-o", out)

    assert ran.returncode == 0, ran.stderr
    sizes = [np.asarray(cv2.imread(str(file))).shape for file in sorted(out.iterdir())]
    first, second = (load_photograph(photograph).shape for photograph in PHOTOGRAPHS[:2])
    assert sizes == [first, first, second]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_model(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_areas(tmp_path_factory.mktemp("segmenter"))


def test_boxes_are_drawn_where_they_are_in_a_video_of_pictures_of_two_sizes(detector: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "pictures", tmp_path / "out.mp4"
    source.mkdir()
    for number, (width, height) in enumerate([(640, 480), (320, 240)]):
        pixels = with_rectangles(width, height, white=Box(width // 4, height // 2, width // 2, 3 * height // 4))
        cv2.imwrite(str(source / f"{number}.png"), pixels)
    ran = render(source, "--model", detector, "-o", out)

    assert ran.returncode == 0, ran.stderr
    for drawn in frames_of(out):
        assert drawn.shape == (480, 640, 3)
        edge, inside, outside = drawn[300, 158:163], drawn[300, 200:280], drawn[300, 400:600]
        assert np.abs(edge.astype(int) - 255).max() > 100
        assert inside.min() > 200
        assert outside.max() < 50


def test_areas_are_drawn_without_a_setting(segmenter: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "pictures", tmp_path / "out"
    source.mkdir()
    cv2.imwrite(str(source / "0.png"), with_rectangles(320, 240, white=Box(200, 0, 320, 240)))
    ran = render(source, "--model", segmenter, "-o", out)

    assert ran.returncode == 0, ran.stderr
    (file,) = out.iterdir()
    drawn = np.asarray(cv2.imread(str(file)))
    assert np.ptp(drawn[100, 300].astype(int)) > 40  # white no longer: it has the colour of its class
    assert drawn[100, 100].max() < 30


def test_what_is_wrong_with_the_output_is_said_before_the_model_is_loaded(pictures: Path, tmp_path: Path) -> None:
    for out, text in (
        (pictures, "is the source"),
        (pictures / LABEL, "is not an empty folder"),
        (tmp_path / "out.avi", "only .mp4 is written"),
    ):
        ran = render(pictures, "--model", tmp_path / "no-model", "-o", out)
        assert ran.returncode == 2
        assert text in ran.stderr
        assert "Traceback" not in ran.stderr
