"""Which engine a setting gives, and what it says when it cannot be had; that engines agree is in tests/contract."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.models import SMALL, Answering, small_model
from tests.support.pictures import scene
from worker.domain.arrays import Arrays, Engine
from worker.domain.errors import ModelFailed, ModelOutOfMemory, ModelUnavailable, SettingsError
from worker.models.build import PICTURES_A_THREAD
from worker.models.engines.child import crash_of
from worker.models.engines.streams import Streams
from worker.models.engines.torch_engine import find_device
from worker.tasks.classify import OUTPUTS

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of converted files, empty."""
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    return tmp_path / "engines"


# What is not there.


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_that_is_not_installed(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(ModelUnavailable, match=rf'{engine} not installed; pip install "vision-worker\[{engine}\]"'):
        small_model(NETWORK, engine=engine)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"engine": "openvino", "device": "cuda"}, "openvino runs on a CPU, not on cuda"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "onnxruntime cannot do precision bf16"),
        ({"engine": "onnxruntime", "precision": "fp16"}, "fp16 on CUDA alone"),
        ({"engine": "onnxruntime", "memory_format": "contiguous"}, "onnxruntime chooses the layout itself"),
        ({"engine": "openvino", "memory_format": "contiguous"}, "openvino chooses the layout itself"),
        ({"preparation": "nvjpeg"}, "preparation nvjpeg runs on a GPU: set model.device: cuda"),
        ({"device": "cuda:0", "streams": 2}, "streams are for a CPU"),
        ({"threads": 1, "streams": 2}, "threads is 1 and model.streams 2"),
    ],
)
def test_what_no_machine_can_do(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        small_model(NETWORK, **settings)
    assert [fault in each for each in caught.value.faults] == [True]


def test_onnxruntime_without_cuda() -> None:
    with pytest.raises(ModelUnavailable, match=r"device 'cuda:1': this ONNX Runtime has .*CPUExecutionProvider"):
        small_model(NETWORK, engine="onnxruntime", device="cuda:1")


def test_a_precision_this_cpu_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    with pytest.raises(ModelUnavailable, match=r"precision bf16: this CPU has none of avx512_bf16"):
        find_device("cpu", "bf16")
    assert find_device("cpu", "fp32").type == "cpu"


def test_a_network_that_cannot_be_exported() -> None:
    def branches_on_pixels(pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(pixels), 4) if pixels.sum() > 0 else torch.ones(len(pixels), 4)

    with pytest.raises(ModelUnavailable, match=r"(?s)torch cannot export this network.*model\.engine: eager"):
        small_model(Answering(branches_on_pixels), engine="onnxruntime")


# Answers.


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_answers_do_not_depend_on_how_many_pictures_come_with_them(engine: str) -> None:
    model = small_model(NETWORK, engine=engine, threads=2, streams=2)
    pictures = np.stack([scene(8, 8) + np.uint8(number) for number in range(2 * PICTURES_A_THREAD + 1)])
    expected = small_model(NETWORK).run(pictures)
    for count in range(1, len(pictures) + 1):
        found = model.run(pictures[:count])
        assert np.array_equal(found["indices"], expected["indices"][:count])
        assert np.allclose(found["probabilities"], expected["probabilities"][:count], atol=1e-5)


# What is kept.


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_what_is_converted_is_kept_and_nothing_else(engine: str, cache: Path) -> None:
    first = small_model(NETWORK, engine=engine)
    (kept,) = cache.iterdir()
    made = kept.stat().st_mtime_ns
    again = small_model(NETWORK, engine=engine)
    assert [file.stat().st_mtime_ns for file in cache.iterdir()] == [made]
    pictures = scene(8, 8)[None]
    assert np.array_equal(first.run(pictures)["probabilities"], again.run(pictures)["probabilities"])


def test_what_the_graph_depends_on_makes_another_file(cache: Path) -> None:
    for settings in ({}, {"top_k": 1}, {"output": "probabilities"}, {"classes": 4}):
        small_model(NETWORK, engine="onnxruntime", **settings)
    # Five classes are always asked for, or all there are.
    assert len(list(cache.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("first", ["worker.models.build", "worker.models.engines.onnx_quantiser"])
def test_engines_tell_nobody_that_they_run(first: str, tmp_path: Path) -> None:
    code = f"""
import {first}
from torch import nn
from tests.support.models import small_model
for engine in ("openvino", "onnxruntime"):
    small_model(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()), engine=engine).warm_up(1)
"""
    home = tmp_path / "home"
    home.mkdir()
    # Both libraries begin with an id in the user's home.
    hidden = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    environment = {**hidden, "HOME": str(home), "VISION_WORKER_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run([sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert not list(home.rglob("*")), "something was written to the home folder"


# Layout.


class Watching(nn.Module):
    """Notes the layout of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        self.seen = set[torch.memory_format]()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return as many scores as there are classes."""
        layouts = (torch.channels_last, torch.contiguous_format)
        self.seen |= {
            each for each in layouts for tensor in (pixels, self.weight) if tensor.is_contiguous(memory_format=each)
        }
        return pixels.flatten(1)[:, :4]


@pytest.mark.parametrize(
    ("settings", "layout"),
    [
        ({}, torch.channels_last),
        ({"memory_format": "channels_last"}, torch.channels_last),
        ({"memory_format": "contiguous"}, torch.contiguous_format),
    ],
)
def test_the_network_runs_in_the_layout_that_is_set(settings: dict[str, Any], layout: torch.memory_format) -> None:
    network = Watching()
    small_model(network, **settings).run(np.stack([scene(8, 8)] * 2))
    assert network.seen == {layout}


@pytest.mark.slow
def test_a_layout_is_compiled_and_changes_no_answer(cache: Path) -> None:
    pictures = np.stack([scene(8, 8)] * 2)
    expected = small_model(NETWORK).run(pictures)
    found = small_model(NETWORK, engine="compile", memory_format="contiguous").run(pictures)
    assert len(list(cache.iterdir())) == 1
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


# Precision.


@pytest.mark.parametrize("engine", ["eager", "openvino"])
def test_a_lower_precision_is_close(engine: str) -> None:
    pictures = np.stack([scene(8, 8), np.zeros((8, 8, 3), np.uint8)])
    expected = small_model(NETWORK).run(pictures)
    try:
        found = small_model(NETWORK, engine=engine, precision="bf16").run(pictures)
    except ModelUnavailable as error:
        pytest.skip(str(error))
    assert not np.array_equal(found["probabilities"], expected["probabilities"])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-2)


# Streams.


def test_callers_share_the_engines_and_none_is_used_twice_at_once() -> None:
    """Two threads are inside at the same time, or the barrier breaks; never in the same engine."""
    both = Barrier(2, timeout=30)
    inside = list[int]()

    def engine(number: int) -> Engine:
        def run(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Arrays:
            assert number not in inside
            inside.append(number)
            both.wait()
            inside.remove(number)
            return {"indices": np.full((len(pixels), 1), number)}

        return run

    streams = Streams([engine(0), engine(1)])
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(streams, [np.zeros((3, 1, 1, 3), np.uint8)] * 8))

    assert sorted(int(each["indices"][0, 0]) for each in found) == [0] * 4 + [1] * 4


def test_an_engine_that_fails_can_be_used_again() -> None:
    def engine(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Arrays:
        if pixels.any():
            raise MemoryError("no room")
        row = np.ones(len(pixels), np.float32)
        return dict(zip(OUTPUTS, (np.zeros((len(pixels), 1), np.int64), row[:, None], row, row), strict=True))

    streams = Streams([engine])
    with pytest.raises(MemoryError, match="no room"):
        streams(np.full((8, 1, 1, 3), 200, np.uint8))
    assert len(streams(np.zeros((8, 1, 1, 3), np.uint8))["indices"]) == 8


# Memory.


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("none left"), ModelOutOfMemory),
        (torch.OutOfMemoryError("CUDA out of memory"), ModelOutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ModelOutOfMemory),
        (RuntimeError("no such layer"), ModelFailed),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(error: Exception, kind: type[ModelFailed]) -> None:
    def answer(_: torch.Tensor) -> object:
        raise error

    with pytest.raises(ModelFailed) as caught:
        small_model(Answering(answer), preprocessing=SMALL).warm_up(1)
    assert type(caught.value) is kind


# What an engine cannot read.


def test_an_engine_that_cannot_take_a_network_says_what_to_set(tmp_path: Path) -> None:
    from worker.models.engines.onnxruntime_engine import load_onnxruntime  # noqa: PLC0415 - need not be installed
    from worker.models.engines.openvino_engine import load_openvino  # noqa: PLC0415 - need not be installed

    file = tmp_path / "network.onnx"
    file.write_bytes(b"no graph")
    with pytest.raises(ModelUnavailable, match=r"(?s)ONNX Runtime .* cannot run .*; set model\.engine: eager"):
        load_onnxruntime(file, device="cpu", streams=1, threads=1, outputs=())
    with pytest.raises(ModelUnavailable, match=r"(?s)OpenVINO .* cannot run .*; set model\.engine: eager"):
        load_openvino(file, streams=1, threads=1, precision="fp32", usual=1, outputs=())


def test_a_crash_of_a_process_of_its_own_is_told_by_its_signal() -> None:
    assert crash_of("import os; os.abort()") == signal.SIGABRT
    assert crash_of("import sys; sys.exit(int(sys.argv[1]))", 3) is None
    assert crash_of("") is None
