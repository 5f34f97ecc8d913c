"""The demo's picture: what the cameras saw last, and what the terminal showed."""

import base64
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from rich.text import Text

from tests.support.demo_run import a_prediction_of
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.picture import Shot, shots, write_picture
from worker.local.samples import PHOTOGRAPHS
from worker.local.scoreboard import Scoreboard

SVG = "{http://www.w3.org/2000/svg}"


def a_jpeg(grey: int) -> bytes:
    return cv2.imencode(".jpg", np.full((480, 640, 3), grey, np.uint8))[1].tobytes()


def test_a_camera_is_shown_with_the_frame_that_was_predicted_last() -> None:
    cameras = {
        each.name: [CapturedFrame(each.name, b"%d" % number, EventMillis(0), "image/jpeg") for number in range(3)]
        for each in PHOTOGRAPHS
    }
    board = Scoreboard()
    for number in range(5):  # cameras repeat their frames: the fifth is the second again
        board.predicted(a_prediction_of("coffee", number, name="espresso"), now=0.0, arrived_at=0)

    assert shots(cameras, board) == [Shot(b"1", "75% espresso", right=True)]


def test_what_nobody_may_publish_is_left_out() -> None:
    cameras = {each.name: [CapturedFrame(each.name, b"x", EventMillis(0), "image/jpeg")] for each in PHOTOGRAPHS}
    board = Scoreboard()
    for each in PHOTOGRAPHS:
        board.predicted(a_prediction_of(each.name, 0, name=each.name), now=0.0, arrived_at=0)

    assert [shot.caption for shot in shots(cameras, board)] == [
        "75% chelsea",
        "75% coffee",
        "75% cameraman",
        "75% rocket",
    ]


def test_the_file_has_the_pictures_and_the_lines_and_loads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "demo.svg"
    write_picture(file, [Text("lost 0 & <twice> 0")], [Shot(a_jpeg(200), "1% <cat> & dog", right=True)], title="demo")

    content = file.read_text()
    root = ET.fromstring(content)  # noqa: S314 our own
    text = "".join(root.itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert "1% <cat> & dog" in text
    assert "lost 0 & <twice> 0" in text
    assert "url(http" not in content
    assert "@font-face" not in content
    (image,) = root.findall(f"{SVG}image")
    data = base64.b64decode(image.attrib["href"].removeprefix("data:image/jpeg;base64,"))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert (pixels.shape, round(float(pixels.mean()))) == ((240, 320, 3), 200)


def test_a_picture_without_cameras_is_the_terminal_alone(tmp_path: Path) -> None:
    write_picture(tmp_path / "demo.svg", [Text("hello")], [], title="demo")

    content = (tmp_path / "demo.svg").read_text()
    sizes = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', content)
    assert len(set(sizes)) == 1
