"""Which engine runs the model: settings in, a model out. What an engine converts is kept in the user's cache."""

import hashlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.export import ExportedProgram

from worker.adapters import torch_graph
from worker.adapters.onnx_export import write_onnx
from worker.adapters.streams import Streams
from worker.adapters.torch_engine import (
    TorchEngine,
    describe_machine,
    find_device,
    limit_torch_threads,
    load_compiled,
    write_compiled,
)
from worker.adapters.torch_files import load_network
from worker.adapters.torch_graph import ClassifierGraph, export_graph
from worker.classifier import Classifier
from worker.domain.classes import TOP5
from worker.domain.errors import ModelUnavailable, SettingsError
from worker.domain.ranking import Engine
from worker.local.models import ready_model
from worker.local.packages import cache_folder
from worker.manifest import Manifest, load_manifest
from worker.settings import ModelGroup
from worker.telemetry import Telemetry

PICTURES_A_THREAD: Final = 8
"""In one call, on a CPU: with more, what is between two layers no longer fits into a core's cache."""
LIBRARIES: Final = {
    "openvino": ("openvino", "onnx", "onnxscript"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),
}


def warm_model(group: ModelGroup, telemetry: Telemetry, *, batch_size: int) -> Classifier:
    """Load the model and run it once, so that the first frame is as quick as the next.

    Raises:
        ModelUnavailable: the model cannot be loaded as described.
        SettingsError: its manifest has faults.
    """
    model = load_model(group)
    began = time.monotonic()
    model.warm_up(batch_size)
    telemetry.model_ready(model.identity, group.device, group.engine, warm_up_seconds=time.monotonic() - began)
    return model


def load_model(group: ModelGroup) -> Classifier:
    """Load the model that the settings name, without running it.

    Raises:
        ModelUnavailable: a file is missing, its hash differs, or the engine or the device is not there.
        SettingsError: its manifest has faults.
    """
    return build_model(find_manifest(group), group)


def find_manifest(group: ModelGroup) -> Manifest:
    """Read the manifest of the model that the settings name, fetching a ready one on first use.

    Raises:
        ModelUnavailable: there is no such model.
        SettingsError: the manifest has faults.
    """
    return load_manifest(group.path or ready_model(group.name or "", group.weights))


def build_model(manifest: Manifest, group: ModelGroup) -> Classifier:
    """Build the model of a manifest on the engine that the settings name.

    Raises:
        ModelUnavailable: as `load_model`.
        SettingsError: no machine can do what the settings ask for.
    """
    network = load_network(
        manifest.file,
        sha256=manifest.sha256,
        architecture=manifest.architecture,
        classes=len(manifest.labels),
    )
    return assemble(network, manifest, group)


def assemble(network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup) -> Classifier:
    """Put a loaded network, its manifest and the engine together.

    Raises:
        SettingsError: no machine can do what the settings ask for.
        ModelUnavailable: the engine or the device is not there, or the engine cannot run this network.
    """
    if faults := list(_contradictions(group)):
        raise SettingsError(faults)
    threads = _threads_per_stream(group)
    if threads is not None:
        limit_torch_threads(threads)
    top_k = min(max(group.top_k, TOP5), len(manifest.labels))
    return Classifier(
        identity=manifest.identity,
        labels=manifest.labels,
        output=manifest.output,
        preprocessing=manifest.preprocessing,
        engine=Streams(_build_engines(network, manifest, group, top_k, threads)),
        streams=group.streams,
        largest=PICTURES_A_THREAD * (threads or cores()) if group.device == "cpu" else None,
        top_k=top_k,
    )


def settle_threads(group: ModelGroup, *, usual: int) -> None:
    """Give torch as many threads as this model wants; for whoever runs several models in turn.

    Args:
        group: of the model that runs next.
        usual: where it leaves them to the engine's choice.
    """
    limit_torch_threads(_threads_per_stream(group) or usual)


def _build_engines(
    network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup, top_k: int, threads: int | None
) -> Sequence[Engine]:
    """Build one for each stream."""
    _require_libraries(group.engine)
    by_torch = group.engine in ("eager", "compile")
    device = find_device(group.device, group.precision) if by_torch else torch.device("cpu")
    # OpenVINO lowers the precision by itself, and better; the others run what the graph says.
    precision = "fp32" if group.engine == "openvino" else group.precision
    graph = ClassifierGraph(
        network,
        manifest.preprocessing,
        output=manifest.output,
        classes=len(manifest.labels),
        top_k=top_k,
        precision=precision,
        memory_format=group.memory_format,
        device=device,
    )
    if group.engine == "eager":
        return [TorchEngine(graph, device)] * group.streams
    # All that the converted graph depends on. Native code belongs to a machine, an ONNX file to none.
    network_key = (
        manifest.sha256,
        manifest.architecture,
        manifest.preprocessing,
        manifest.output,
        len(manifest.labels),
    )
    key = [*network_key, top_k, precision, Path(torch_graph.__file__).read_text(encoding="utf-8"), torch.__version__]
    side = manifest.preprocessing.crop
    if group.engine == "compile":
        file = _kept(
            manifest.name,
            ".pt2",
            [*key, graph.layout, describe_machine(device)],
            lambda f: write_compiled(export_graph(graph, side), f),
        )
        return [load_compiled(file, device, streams=group.streams)] * group.streams
    file = _kept(manifest.name, ".onnx", key, lambda f: write_onnx(export_graph(graph, side), f))
    # Both load only when they are asked for, and need not be installed.
    if group.engine == "openvino":
        from worker.adapters.openvino_engine import load_openvino  # noqa: PLC0415 - see above

        return load_openvino(file, streams=group.streams, threads=threads, precision=group.precision)
    from worker.adapters.onnxruntime_engine import load_onnxruntime  # noqa: PLC0415 - see above

    return load_onnxruntime(file, device=group.device, streams=group.streams, threads=threads)


def _contradictions(group: ModelGroup) -> Iterator[str]:
    """Find what no machine can do; what this one cannot shows when the engine is built."""
    on_cpu = group.device == "cpu"
    if group.engine == "openvino" and not on_cpu:
        yield f"model.engine openvino runs on a CPU, not on {group.device}: set model.device: cpu, or another engine"
    if group.engine == "onnxruntime" and group.precision == "bf16":
        yield "model.engine onnxruntime cannot do precision bf16: set fp32, or fp16 on CUDA"
    if group.engine == "onnxruntime" and group.precision == "fp16" and on_cpu:
        yield "model.engine onnxruntime does precision fp16 on CUDA alone: set fp32"
    if group.engine in LIBRARIES and group.memory_format != "channels_last":
        yield f"model.engine {group.engine} chooses the layout itself: leave model.memory_format out"
    if group.preparation == "nvjpeg" and on_cpu:
        yield "model.preparation nvjpeg runs on a GPU: set model.device: cuda, or another preparation"
    if group.streams > 1 and not on_cpu:
        yield "model.streams are for a CPU, a GPU takes a batch as a whole: set streams: 1"
    if group.threads is not None and group.threads < group.streams:
        yield f"model.threads is {group.threads} and model.streams {group.streams}: each stream needs a thread"


def _require_libraries(engine: str) -> None:
    if missing := [name for name in LIBRARIES.get(engine, ()) if importlib.util.find_spec(name) is None]:
        raise ModelUnavailable(
            f'engine {engine}: {", ".join(missing)} not installed; pip install "vision-worker[{engine}]"'
        )


def _threads_per_stream(group: ModelGroup) -> int | None:
    """Share the threads out, those of all cores if none are set; a single stream is left to its engine's choice."""
    if group.threads is None and group.streams == 1:
        return None
    return max(1, (group.threads or cores()) // group.streams)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _kept(name: str, suffix: str, key: Sequence[object], write: Callable[[Path], None]) -> Path:
    """Return a file of the user's cache, writing it on first use: elsewhere, and renamed once it is whole."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()
    file = cache_folder() / "engines" / f"{name}-{digest[:16]}{suffix}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            unfinished = Path(scratch, file.name)
            write(unfinished)
            unfinished.replace(file)
    return file
