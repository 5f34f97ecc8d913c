"""Which engine runs the model: settings in, a model out. What an engine converts is kept in the user's cache."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from worker.domain.arrays import Engine
from worker.domain.errors import ModelUnavailable, SettingsError
from worker.domain.preprocessing import MemoryFormat
from worker.models.allocator import keep_freed_memory
from worker.models.cnn_rnn import CnnRnn
from worker.models.container import cores, is_limited
from worker.models.detectors import adapt_detector, check_engine
from worker.models.engines.onnx_export import write_onnx
from worker.models.engines.portions import Portions
from worker.models.engines.streams import Streams
from worker.models.engines.torch_engine import (
    TorchEngine,
    describe_machine,
    find_device,
    limit_torch_threads,
    load_compiled,
    write_compiled,
)
from worker.models.graph import ModelGraph, export_graph
from worker.models.heads import HEADS
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest, load_manifest
from worker.models.network import load_network
from worker.models.programs import ANY_BATCH, batch_limits, check_batch, output_index
from worker.models.ready import ready_model
from worker.models.recurrent import RecurrentPart
from worker.models.store import atomic_file, cache_folder, make_file_once, sha256_of_bytes
from worker.ports import Task
from worker.settings import ModelGroup
from worker.tasks.classify import Classify
from worker.tasks.clip import ClassifyClip
from worker.tasks.detect import Detect
from worker.tasks.embed import Embed
from worker.tasks.frame_values import FrameValues
from worker.tasks.multi_label import MultiLabel
from worker.tasks.recurrent import Recurrent
from worker.tasks.segment import Segment

PICTURES_A_THREAD: Final = 8
"""In one call, on a CPU: with more, what is between two layers no longer fits into a core's cache. A clip counts as
its frames, and is never cut. A picture that is looked at place by place counts as its size: it may have twenty times as
many pixels as one that is classified."""
_USUAL_PIXELS: Final = 224 * 224
TASKS: Final[Mapping[str, Callable[[Manifest, ModelGroup], Task]]] = {
    Classify.name: lambda told, group: Classify(
        told.labels, output=told.output, top_k=group.top_k, threshold=told.threshold
    ),
    ClassifyClip.name: lambda told, group: ClassifyClip(
        told.labels, output=told.output, top_k=group.top_k, threshold=told.threshold
    ),
    MultiLabel.name: lambda told, group: MultiLabel(
        told.labels, output=told.output, thresholds=told.thresholds or told.threshold, top_k=group.top_k
    ),
    FrameValues.name: lambda told, _: FrameValues(told.labels, output=told.output, threshold=told.threshold),
    Detect.name: lambda told, _: Detect(told.labels, threshold=told.threshold, most=told.most),
    Segment.name: lambda told, group: Segment(told.labels, input_size=told.preprocessing.crop_size, masks=group.masks),
    Embed.name: lambda *_: Embed(),
    Recurrent.name: lambda told, group: Recurrent(
        told.labels, output=told.output, top_k=group.top_k, threshold=told.threshold
    ),
}
"""By the manifest's word for it; `worker.models.heads.HEADS` has the part of it that runs on the device."""
LIBRARIES: Final = {
    "openvino": ("openvino", "onnx", "onnxscript"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript"),
}


def load_model(group: ModelGroup) -> LoadedModel:
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


def build_model(manifest: Manifest, group: ModelGroup) -> LoadedModel:
    """Build the model of a manifest on the engine that the settings name.

    Raises:
        ModelUnavailable: as `load_model`.
        SettingsError: no machine can do what the settings ask for.
    """
    return assemble(load_network(manifest), manifest, group)


def calibrate(manifest: Manifest, group: ModelGroup, pixels: NDArray[np.uint8]) -> Path:
    """Write the model in 8 bits into the cache, where `build_model` finds it for `model.precision: int8`.

    One file is for both engines that read it, on any CPU; a second calibration takes the first one's place.

    Args:
        manifest: of the model.
        group: names the engine; of the rest, `top_k` matters alone.
        pixels: such as the model will see, prepared by it, (samples, *input_shape). Some dozens of pictures will do.

    Raises:
        SettingsError: the engine or the device cannot do int8.
        ModelUnavailable: as `load_model`, or the network cannot be quantised.
    """
    group = group.without_auto().model_copy(update={"precision": "int8"})
    if faults := list(contradictions(group)):
        raise SettingsError(faults)
    require_libraries("onnxruntime")
    from worker.models.engines.onnx_quantiser import write_int8  # noqa: PLC0415 - need not be installed

    graph = _graph(load_network(manifest), manifest, group, torch.device("cpu"))
    exported = _onnx_file(graph, manifest)
    file = _int8_file(graph, manifest)
    with atomic_file(file) as unfinished:
        write_int8(exported, unfinished, pixels)
    return file


def assemble(network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup) -> LoadedModel:
    """Put a loaded network, its manifest and the engine together.

    Raises:
        SettingsError: no machine can do what the settings ask for.
        ModelUnavailable: the engine or the device is not there, or the engine cannot run this network.
    """
    group = group.without_auto()
    if faults := list(contradictions(group)):
        raise SettingsError(faults)
    keep_freed_memory()
    if (threads := threads_per_stream(group)) is not None:
        limit_torch_threads(threads)
    full_part = max(1, PICTURES_A_THREAD * (threads or cores()) // _pictures(manifest))
    engines = _build_engines(network, manifest, group, threads, full_part)
    if isinstance(network, ExportedProgram) and (limits := batch_limits(network)) != ANY_BATCH:
        engines = [Portions(engine, limits) for engine in engines]
        full_part = max(full_part // limits.least, 1) * limits.least
    return LoadedModel(
        identity=manifest.identity,
        task=_task(manifest, group),
        preprocessing=manifest.preprocessing,
        clip=manifest.clip,
        recurrent=_recurrent_part(network, manifest, group),
        engine=Streams(engines),
        streams=group.streams_or_one,
        largest=full_part if group.device == "cpu" else None,
    )


def _pictures(manifest: Manifest) -> int:
    """Return as how many pictures a sample counts: see `PICTURES_A_THREAD`."""
    if manifest.task in {Detect.name, Segment.name}:
        height, width = manifest.preprocessing.crop_size
        return -(-height * width // _USUAL_PIXELS)
    return manifest.clip.frames if manifest.clip else 1


def settle_threads(group: ModelGroup, *, usual: int) -> None:
    """Give torch as many threads as this model wants, or as usual if it leaves that open; for models run in turn."""
    limit_torch_threads(threads_per_stream(group) or usual)


def _build_engines(
    network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup, threads: int | None, full_part: int
) -> Sequence[Engine]:
    """Build one for each stream."""
    require_libraries(group.engine)
    if manifest.task == Detect.name:
        check_engine(network, group.engine)
    check_batch(network, group.engine)
    by_torch = group.engine in ("eager", "compile")
    device = find_device(group.device, group.precision) if by_torch else torch.device("cpu")
    graph = _graph(network, manifest, group, device)
    if group.engine == "eager":
        return [TorchEngine(graph, device, graph.head.outputs)] * group.streams_or_one
    if group.engine == "compile":
        file = cached(manifest, ".pt2", [*_key(graph, manifest), graph.layout, describe_machine(device)])
        make_file_once(file, lambda f: write_compiled(export_graph(graph, manifest.input_shape), f, device))
        engine = load_compiled(file, device, streams=group.streams_or_one, outputs=graph.head.outputs)
        if manifest.clip:
            _check_compiled(engine, graph, manifest.input_shape)
        return [engine] * group.streams_or_one
    if group.precision == "int8":
        file = _int8_file(graph, manifest)
        if not file.exists():
            raise ModelUnavailable(
                "precision int8 needs a calibration with sample frames: run vision-worker tune, or set "
                "model.precision: fp32"
            )
    else:
        file = _onnx_file(graph, manifest)
    if group.engine == "openvino":
        from worker.models.engines.openvino_engine import check_survives, load_openvino  # noqa: PLC0415 - as above

        if group.precision == "int8" and manifest.clip:
            check_survives(file, usual=full_part)
        return load_openvino(
            file,
            streams=group.streams_or_one,
            threads=threads,
            precision=group.precision,
            usual=full_part,
            outputs=graph.head.outputs,
        )
    from worker.models.engines.onnxruntime_engine import load_onnxruntime  # noqa: PLC0415 - need not be installed

    return load_onnxruntime(
        file, device=group.device, streams=group.streams_or_one, threads=threads, outputs=graph.head.outputs
    )


def _check_compiled(engine: Engine, graph: ModelGraph, shape: Sequence[int]) -> None:
    """Compare one clip with uncompiled torch.

    Two networks in channels_last_3d, compiled by torch 2.14 for any batch, answered a clip alone wrongly, and several
    clips rightly. Why is not known; in the contiguous layout both are right.

    Raises:
        ModelUnavailable: the compiled code answers otherwise.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    found, expected = engine(pixels), TorchEngine(graph, graph.device, graph.head.outputs)(pixels)
    # Relative, because values close to 0 are told apart by it.
    tolerance = 0.02 if graph.precision == "fp32" else 0.5
    for name in ("probabilities", "values"):
        if name in found and not np.allclose(np.sort(found[name]), np.sort(expected[name]), rtol=tolerance, atol=1e-9):
            raise ModelUnavailable(
                f"torch {torch.__version__} compiles this network to one that answers otherwise: set model.engine: "
                "eager, or export its program in torch's contiguous layout"
            )


def _graph(
    network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup, device: torch.device
) -> ModelGraph:
    # OpenVINO lowers the precision by itself, and better; 8 bits are made of float32; else it is in the graph.
    in_graph = group.engine != "openvino" and group.precision != "int8"
    # A clip alone would be compiled wrongly in the other layout: see `_check_compiled`.
    compiled_clips = group.engine == "compile" and manifest.clip and not isinstance(network, ExportedProgram)
    memory_format: MemoryFormat = "contiguous" if compiled_clips else group.memory_format
    if manifest.task == Detect.name and isinstance(network, nn.Module):
        adapt_detector(network, manifest.preprocessing.crop_size, threshold=manifest.threshold, most=manifest.most)
    return ModelGraph(
        network.backbone if isinstance(network, CnnRnn) and manifest.recurrence else network,
        manifest.preprocessing,
        head=HEADS[manifest.task](_task(manifest, group)),
        precision=group.precision if in_graph else "fp32",
        memory_format=memory_format,
        sees_time=manifest.clip is not None,
        leaf=_leaf(network, manifest),
        device=device,
    )


def _leaf(network: nn.Module | ExportedProgram, manifest: Manifest) -> int | None:
    if not isinstance(network, ExportedProgram):
        return None
    return output_index(network, manifest.output_name, task=manifest.task, what=str(manifest.file))


def _recurrent_part(
    network: nn.Module | ExportedProgram, manifest: Manifest, group: ModelGroup
) -> RecurrentPart | None:
    """Return what goes from frame to frame; the graph has only the backbone then."""
    task = _task(manifest, group)
    if manifest.recurrence is None or not isinstance(network, CnnRnn) or not isinstance(task, Recurrent):
        return None
    return RecurrentPart(network, task, manifest.recurrence)


def _task(manifest: Manifest, group: ModelGroup) -> Task:
    return TASKS[manifest.task](manifest, group)


def contradictions(group: ModelGroup) -> Iterator[str]:
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
    if group.precision == "int8" and group.engine not in LIBRARIES:
        yield f"model.engine {group.engine} cannot do precision int8: set model.engine: openvino or onnxruntime"
    if group.precision == "int8" and not on_cpu:
        yield f"model.precision int8 is for a CPU, not for {group.device}: set fp16, or model.device: cpu"
    if group.streams_or_one > 1 and not on_cpu:
        yield "model.streams are for a CPU, a GPU takes a batch as a whole: set streams: 1"
    if group.threads is not None and group.threads < group.streams_or_one:
        yield f"model.threads is {group.threads} and model.streams {group.streams}: each stream needs a thread"


def require_libraries(engine: str) -> None:
    """Raise ModelUnavailable if what an engine needs is not installed."""
    if missing := [name for name in LIBRARIES.get(engine, ()) if importlib.util.find_spec(name) is None]:
        raise ModelUnavailable(
            f'engine {engine}: {", ".join(missing)} not installed; pip install "vision-worker[{engine}]"'
        )


def threads_per_stream(group: ModelGroup) -> int | None:
    """Share the threads out, those of all cores if none are set; a single stream is left to its engine's choice."""
    if group.threads is None and group.streams_or_one == 1:
        return cores() if is_limited() else None  # engines do not see a container's limit
    return max(1, (group.threads or cores()) // group.streams_or_one)


def _onnx_file(graph: ModelGraph, manifest: Manifest) -> Path:
    file = cached(manifest, ".onnx", _key(graph, manifest))
    return make_file_once(file, lambda f: write_onnx(export_graph(graph, manifest.input_shape), f))


def _int8_file(graph: ModelGraph, manifest: Manifest) -> Path:
    return cached(manifest, ".int8.onnx", [*_key(graph, manifest), source_of("worker.models.engines.onnx_quantiser")])


def _key(graph: ModelGraph, manifest: Manifest) -> list[object]:
    """List all that a converted graph depends on. Native code belongs to a machine, an ONNX file to none."""
    return [
        manifest.sha256,
        manifest.architecture,
        manifest.network,
        *(manifest.arguments, manifest.weights_entry, manifest.output_name),
        manifest.preprocessing,
        manifest.clip,
        graph.head,  # as text, with all that it depends on
        graph.precision,
        source_of("worker.models.graph"),
        source_of("worker.models.heads"),
        *([source_of("worker.models.cnn_rnn")] if manifest.network else []),
        torch.__version__,
    ]


def source_of(module: str) -> str:
    """Read a module's source without running it: what it needs may not be installed."""
    spec = importlib.util.find_spec(module)
    return Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""


def cached(manifest: Manifest, suffix: str, key: Sequence[object]) -> Path:
    """Say where the user's cache keeps what was converted."""
    digest = sha256_of_bytes(repr(key).encode())
    return cache_folder() / "engines" / f"{manifest.name}-{digest[:16]}{suffix}"
