"""Settings of the model and of how it runs."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from worker.settings.base import Group, whole_or_auto

EngineName = Literal["eager", "compile", "openvino", "onnxruntime"]

MOST_STREAMS: Final = 64


class ModelGroup(Group):
    """The model and how it runs."""

    path: Path | None = Field(None, description="folder of a model, or its manifest file")
    name: str | None = Field(
        None,
        description="a model of `vision-worker models list`, or a network of torchvision that classifies pictures or "
        "video, detects or segments; instead of path",
    )
    weights: str | None = Field(None, description="torchvision weights of the model `name`, such as IMAGENET1K_V1")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N; never chosen automatically"
    )
    engine: Literal["auto", EngineName] = Field(
        "auto",
        description="runs the model: torch, torch compiled ahead of time, OpenVINO or ONNX Runtime. auto: OpenVINO on "
        "a CPU, if it is installed and agrees with torch about this model, else eager",
    )
    precision: Literal["fp32", "bf16", "fp16", "int8"] = Field(
        "fp32",
        description="bf16 can be several times faster on hardware that supports it; refused on a CPU that does not. "
        "int8 is for openvino and onnxruntime on a CPU, changes answers, and needs a calibration",
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        "channels_last",
        description="memory layout of activations for eager and compile; an exported program keeps its own layout",
    )
    preparation: Literal["exact", "uint8", "reduced", "nvjpeg"] = Field(
        "exact",
        description="how a picture becomes the model's input: exactly as torchvision's transforms do it, resized in "
        "integers as Pillow does it, from a JPEG decoded at a fraction of its size, or completely on a GPU",
    )
    orientation: Literal["stored", "upright"] = Field(
        "stored",
        description="stored: pixels as they are stored, as in torchvision by default; upright: turned as the EXIF data "
        "of JPEG, PNG and WebP says. Boxes and drawn pictures are turned in the same way",
    )
    bit_depth: int | None = Field(
        None,
        ge=9,
        le=16,
        description="bits that 16-bit grey pictures use, counted from the lowest; 16 keeps the high byte. Unset does "
        "the same, but refuses pictures whose high byte is almost empty",
    )
    threads: int | None = Field(
        None, ge=1, description="threads of the model, all streams together; unset takes the engine's default"
    )
    streams: Annotated[int | Literal["auto"], whole_or_auto(1, MOST_STREAMS)] = Field(
        "auto",
        description="parts of a batch that run in parallel on a CPU; auto is one for each core or thread",
    )
    profile: Literal["auto", "off"] = Field(
        "auto", description="auto uses the profile of `vision-worker tune` for this machine and model, if there is one"
    )
    top_k: int = Field(5, ge=1, le=1000, description="number of classes in a prediction")
    masks: bool = Field(
        False,
        description="the task segment also writes the class of each pixel, as a PNG in the message",
    )

    @property
    def engine_or_eager(self) -> EngineName:
        """The engine; uncompiled torch where nothing has been chosen for this machine."""
        return "eager" if self.engine == "auto" else self.engine

    @property
    def streams_or_one(self) -> int:
        """The number of streams; one where nothing has been chosen for this machine."""
        return 1 if self.streams == "auto" else self.streams

    def without_auto(self) -> "ModelGroup":
        """Return the same settings, with what runs everywhere in place of what was to be chosen for this machine."""
        return self.model_copy(update={"engine": self.engine_or_eager, "streams": self.streams_or_one})

    @classmethod
    def named(cls, model: Path | str) -> "ModelGroup":
        """Return the settings of a model that is given as people do: a name, a folder, or a manifest file."""
        text = str(model)
        is_path = isinstance(model, Path) or os.sep in text or text.endswith((".yaml", ".yml")) or Path(text).exists()
        return cls(path=Path(text)) if is_path else cls(name=text)

    @model_validator(mode="after")
    def _one_model(self) -> "ModelGroup":
        if (self.path is None) == (self.name is None):
            raise ValueError("set either path (a model manifest) or name (a torchvision model), or give --model")
        return self
