"""Which model answers, and where it runs."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from worker.settings.base import Group


class ModelGroup(Group):
    """Which model answers, and where it runs."""

    path: Path | None = Field(None, description="folder or file of a model manifest")
    name: str | None = Field(None, description="ready or torchvision classification model, instead of path")
    weights: str | None = Field(None, description="torchvision weights for name, such as IMAGENET1K_V1")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N; never chosen for you")
    engine: Literal["eager", "compile", "openvino", "onnxruntime"] = Field(
        "eager", description="what runs it: torch, torch compiled ahead of time, OpenVINO or ONNX Runtime"
    )
    precision: Literal["fp32", "bf16", "fp16", "int8"] = Field(
        "fp32",
        description="bf16 can be several times faster on hardware that has it; refused on a CPU without. "
        "int8 is for openvino and onnxruntime on a CPU, changes answers, and needs a calibration",
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        "channels_last",
        description="how eager and compile lay out activations; an exported program keeps the one it was exported in",
    )
    preparation: Literal["exact", "reduced", "nvjpeg"] = Field(
        "exact",
        description="how a picture becomes the input: as torchvision does it, from a JPEG decoded at a fraction of its "
        "size, or all on a GPU",
    )
    threads: int | None = Field(
        None, ge=1, description="for the model, of all streams; unset takes the engine's default"
    )
    streams: int = Field(
        1, ge=1, le=64, description="parts of a batch that run side by side on a CPU; one a core is best"
    )
    profile: Literal["auto", "off"] = Field(
        "auto", description="auto takes what `vision-worker tune` found for this machine and model, if it has run"
    )
    top_k: int = Field(5, ge=1, le=1000, description="classes that a prediction names")

    @model_validator(mode="after")
    def _one_model(self) -> "ModelGroup":
        if (self.path is None) == (self.name is None):
            raise ValueError("set either path (a model manifest) or name (a torchvision model)")
        return self
