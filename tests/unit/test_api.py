"""`worker.load(model)`: a model in a Python program answers as a worker does, and leaves no thread behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from threading import enumerate as running_threads
from typing import Any, get_type_hints

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import worker
from tests.support.bright import with_rectangles, write_bright_model
from tests.support.clip_program import FRAMES, RATE, grey_picture, shown_by, write_clip_model
from tests.support.pictures import PNG
from tests.support.recurrent import moving_pictures, write_recurrent_model
from tests.support.tints import tinted, write_tints_model
from worker import wire
from worker.api.model import Options
from worker.cli import app
from worker.domain.boxes import Box
from worker.domain.errors import ModelFailed, SettingsError, TooManyRejected
from worker.models.loaded import LoadedModel
from worker.settings import ModelGroup

pytestmark = pytest.mark.slow

RED, DARK = tinted({"red"}), tinted(set())
SHARES = [number / 40 for number in range(41)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tints_model(tmp_path_factory.mktemp("tints"))


@pytest.fixture(scope="module")
def model(folder: Path) -> worker.Model:
    return worker.load(folder, threads=1)


def predicted(result: worker.Result) -> wire.PredictionMessage:
    assert isinstance(result, wire.PredictionMessage), result
    return result


def test_it_says_what_it_is(model: worker.Model) -> None:
    assert (model.name, model.task, model.labels) == ("tints", "classify", ("other", "red"))
    assert "tints@" in repr(model)


def test_each_picture_has_its_result_in_order_whatever_it_is(model: worker.Model, tmp_path: Path) -> None:
    file = tmp_path / "dark.png"
    file.write_bytes(PNG(DARK))
    items: list[Any] = [RED, b"no picture", file, None, PNG(RED), Image.fromarray(DARK), str(tmp_path / "nowhere"), RED]

    results = list(model(items))

    assert [each.frame.offset for each in results] == list(range(len(items)))
    reasons = [each.reason if isinstance(each, worker.Refused) else predicted(each).classes[0].name for each in results]
    assert reasons == ["red", "not-a-picture", "other", "not-a-picture", "red", "other", "unreadable", "red"]
    assert (results[2].frame.id, results[4].frame.id) == (str(file), "4")


def test_pixels_and_their_png_have_the_same_answer(model: worker.Model) -> None:
    pictures = [tinted({"red"}, share=share) for share in SHARES]
    raw = [predicted(each).classes for each in model(pictures)]

    assert raw == [predicted(each).classes for each in model(PNG(each) for each in pictures)]
    assert raw == [predicted(each).classes for each in model(map(Image.fromarray, pictures))]
    assert len({each[0].probability for each in raw}) > 10


def test_the_answers_are_those_of_replay(model: worker.Model, folder: Path, tmp_path: Path) -> None:
    for number, share in enumerate(SHARES):
        below = tmp_path / ("red" if share > 0.3 else "other")
        below.mkdir(exist_ok=True)
        (below / f"{number}.png").write_bytes(PNG(tinted({"red"}, share=share)))
    (tmp_path / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = CliRunner().invoke(app, ["replay", str(tmp_path), "--model", str(folder), "--json"])
    assert ran.exit_code == 0, ran.output
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    replayed = {line["prediction"]["frame"]["id"]: line["prediction"] for line in lines if "prediction" in line}

    results = list(model(worker.read(tmp_path, labels="folders")))

    assert len(results) == len(replayed) + 1 == len(SHARES) + 1
    for result in results:
        if isinstance(result, worker.Refused):
            assert result.frame.id == "red/broken.png"
            continue
        message = replayed[result.frame.id]
        classes = {each.name: each.probability for each in predicted(result).classes}
        assert classes == pytest.approx({each["name"]: each["probability"] for each in message["classes"]}, abs=1e-6)
        assert predicted(result).label == message["label"]


def test_a_label_tells_whether_it_is_right(model: worker.Model) -> None:
    right, wrong, unknown = map(
        predicted, model([worker.Picture(RED, "red"), worker.Picture(RED, 0), worker.Picture(RED, "violet")])
    )

    assert right.correct
    assert wrong.correct
    assert (right.correct.top1, wrong.correct.top1, unknown.correct) == (True, False, None)


def test_an_endless_iterable_is_read_a_little_ahead(model: worker.Model) -> None:
    read = count()

    def endless() -> Iterator[bytes]:
        while True:
            next(read)
            yield PNG(RED)

    before = set(running_threads())
    results = model(endless())
    for _ in range(3):
        next(results)
    assert isinstance(results, Iterator)
    results.close()  # type: ignore[attr-defined]

    assert next(read) < 500
    assert [thread for thread in running_threads() if thread not in before and thread.name != "pictures"] == []


def test_a_source_that_waits_for_the_answer_gets_it(model: worker.Model) -> None:
    answers: SimpleQueue[str] = SimpleQueue()
    told = list[str]()

    def asks() -> Iterator[Any]:
        for picture in (RED, DARK, RED):
            yield picture
            told.append(answers.get())

    for result in model(asks()):
        answers.put(predicted(result).classes[0].name)

    assert told == ["red", "other", "red"]


def test_an_error_of_the_iterable_comes_after_the_results_before(model: worker.Model) -> None:
    def breaks() -> Iterator[Any]:
        yield RED
        yield DARK
        raise KeyError("mine")

    results = model(breaks())

    assert [predicted(next(results)).classes[0].name for _ in range(2)] == ["red", "other"]
    with pytest.raises(KeyError, match="mine"):
        next(results)


def test_a_broken_model_is_an_error_of_the_iterator(model: worker.Model) -> None:
    def breaks(_: Any) -> Any:
        raise ModelFailed("broken")

    loaded = model._loaded
    broken = LoadedModel(
        identity=loaded.identity,
        task=loaded.task,
        preprocessing=loaded.preprocessing,
        engine=breaks,
        streams=1,
        largest=None,
    )
    with pytest.raises(TooManyRejected):
        list(worker.Model(broken, model._groups, "classify")([RED] * 300))


def test_it_runs_several_times_at_once_and_in_any_thread(model: worker.Model) -> None:
    found = list[str]()

    def use() -> None:
        pairs = zip(model([RED] * 40), model([DARK] * 40), strict=True)
        found.extend(f"{predicted(one).classes[0].name} {predicted(two).classes[0].name}" for one, two in pairs)

    thread = Thread(target=use)
    thread.start()
    thread.join()

    assert found == ["red other"] * 40


def test_it_stays_loaded(tmp_path: Path) -> None:
    folder = write_tints_model(tmp_path)
    model = worker.load(str(folder))
    for file in folder.iterdir():
        file.unlink()

    assert [predicted(each).classes[0].name for _ in range(2) for each in model([RED])] == ["red", "red"]


def test_it_leaves_opencv_as_it_was(model: worker.Model) -> None:
    usual = cv2.getNumThreads()
    cv2.setNumThreads(usual + 1)
    try:
        list(model([RED]))
        assert cv2.getNumThreads() == usual + 1
    finally:
        cv2.setNumThreads(usual)


@pytest.mark.parametrize("one", ["cat.jpg", Path("cat.jpg"), b"data", RED, RED[..., 0], worker.Picture(RED), BytesIO()])
def test_one_picture_is_no_iterable_of_pictures(model: worker.Model, one: Any) -> None:
    with pytest.raises(TypeError, match=r"give a list of pictures, such as model\(\[picture\]\)"):
        model(one)


def test_a_batch_of_arrays_is_an_iterable_of_pictures(model: worker.Model) -> None:
    assert [predicted(each).classes[0].name for each in model(np.stack([RED, DARK]))] == ["red", "other"]


def test_a_result_cannot_be_taken_for_another_ones(model: worker.Model) -> None:
    """Pictures of several cameras share windows and calls, and one in three is refused before the loop sees it."""
    items = [
        None if number % 3 == 0 else worker.Picture(tinted({"red"} if number % 2 else set()), camera=f"{number % 5}")
        for number in range(200)
    ]
    said = [each.frame.offset if isinstance(each, worker.Refused) else predicted(each) for each in model(items)]  # type: ignore[arg-type]

    for number, each in enumerate(said):
        if number % 3 == 0:
            assert each == number
        else:
            assert isinstance(each, wire.PredictionMessage)
            assert (each.frame.offset, each.frame.camera) == (number, f"{number % 5}")
            assert each.classes[0].name == ("red" if number % 2 else "other")


def test_no_picture_has_no_result(model: worker.Model) -> None:
    assert list(model([])) == []


def test_options_are_the_settings_of_the_model() -> None:
    assert get_type_hints(Options).keys() == ModelGroup.model_fields.keys() - {"path", "name", "profile"}


def test_faults_of_options_are_told(folder: Path) -> None:
    assert len(predicted(next(worker.load(folder, top_k=1)([RED]))).classes) == 1
    with pytest.raises(SettingsError, match=r"model\.engine: Input should be 'auto', 'eager'.*\(it is 'fast'\)"):
        worker.load(folder, engine="fast")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="load\\(\\) has no option topk: its options are config, weights"):
        worker.load(folder, topk=1)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="model"):
        worker.load()


def test_it_takes_the_settings_of_a_worker(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(f"model: {{path: {folder}, top_k: 1}}\nlimits: {{max_pixels: 100}}\n")

    (result,) = worker.load(config=config)([RED])

    assert isinstance(result, worker.Refused)
    assert result.reason == "too-large"


def test_clips_of_each_camera_have_one_result(tmp_path: Path) -> None:
    model, step = worker.load(write_clip_model(tmp_path)), round(1000 / RATE)
    pictures = [
        worker.Picture(grey_picture(number), camera=camera, captured_at=number * step)
        for number in range(2 * FRAMES)
        for camera in ("a", "b")
    ]

    results = [each for each in model(pictures) if isinstance(each, wire.ClipMessage)]

    for camera in ("a", "b"):
        mine = [each for each in results if each.frame.camera == camera]
        assert len(mine) == 2
        for number, each in enumerate(mine):
            shown = shown_by([one.index for one in each.classes[:FRAMES]], number * FRAMES)
            assert shown == tuple(range(number * FRAMES, (number + 1) * FRAMES))


def test_a_recurrent_model_follows_a_camera(tmp_path: Path) -> None:
    model = worker.load(write_recurrent_model(tmp_path))

    results = list(model(moving_pictures(6)))

    assert [each.steps for each in results if isinstance(each, wire.RecurrentMessage)] == [1, 2, 3, 4, 5, 6]


def test_a_detector_finds_boxes_and_compares_them(tmp_path: Path) -> None:
    box = Box(10, 10, 60, 50)
    model = worker.load(write_bright_model(tmp_path))
    picture = worker.Picture(with_rectangles(128, 96, white=box), boxes=[("white", box)])

    (result,) = model([picture])

    assert isinstance(result, wire.DetectionMessage)
    assert result.counts == {"white": 1}
    assert result.correct == wire.prediction_fields.BoxCountField(1, 0, 0)


LEAVES_ONE_OPEN = """
import itertools, sys, worker
results = worker.load(sys.argv[1])(itertools.repeat(open(sys.argv[2], "rb").read()))
print(next(results).classes[0].name, flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["", "raise SystemExit(3)", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"])
def test_a_program_ends_although_results_are_left(folder: Path, tmp_path: Path, then: str) -> None:
    file = tmp_path / "red.png"
    file.write_bytes(PNG(RED))
    command = [sys.executable, "-c", LEAVES_ONE_OPEN.format(then=then), str(folder), str(file)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)

    assert ran.stdout == "red\n"
    assert ran.returncode == (3 if "SystemExit" in then else -signal.SIGINT if then else 0)
    assert ran.stderr.count("Traceback") == ("SIGINT" in then)


def test_ctrl_c_ends_it_while_it_waits_for_a_picture(folder: Path) -> None:
    program = """
import sys, threading, worker
def waits():
    print("waits", flush=True)
    threading.Event().wait()
    yield b""
list(worker.load(sys.argv[1])(waits()))
"""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "waits\n"
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=100)

    assert running.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
