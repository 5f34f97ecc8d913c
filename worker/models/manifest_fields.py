"""The fields of a manifest, and the JSON Schema that follows from them (schemas/model-manifest.v1.json)."""

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from worker.domain.networks import CNN_RNN, Cell
from worker.domain.preprocessing import ChannelOrder, Interpolation, Output

TaskName = Literal["classify", "multi_label", "clip", "frame_values", "recurrent", "detect", "segment", "embed"]

SCORED: Final = frozenset({"classify", "multi_label", "clip", "frame_values", "recurrent"})
"""Tasks whose network returns scores, so that `output` has to say of which kind."""
NAMELESS: Final = frozenset({"embed"})
"""Tasks without classes."""

FOLLOWING: Final = frozenset({"weights", "weights_backbone", "pretrained", "progress", "num_classes"})
"""Arguments of torchvision's builders that follow from other fields, so that no manifest may set them."""

# Descriptions are used in the schema and in the texts of faults: "crop must be ...".
_Path = Annotated[str, Meta(min_length=1)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
_Pixels = Annotated[int, Meta(ge=1)]
# A list, because msgspec 0.22 reads beyond its memory for a union of a limited number and a tuple.
_Sides = _Pixels | Annotated[list[_Pixels], Meta(min_length=2, max_length=2)]
_Std = Annotated[float, Meta(gt=0)]
_Byte = Annotated[int, Meta(ge=0, le=255)]
_Label = Annotated[str, Meta(min_length=1)]
_Frames = Annotated[int, Meta(ge=2)]
_Rate = Annotated[float, Meta(gt=0, le=1000)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Argument = bool | int | float | str | list[int | float]


class PreprocessingFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Resize, crop the middle or pad, then compute (pixel * max_value / 255 - mean) / std, of pixels from 0 to 255."""

    resize: Annotated[
        _Sides, Meta(description="the pixels of the shorter side, at least 1, or exactly [height, width]")
    ]
    crop: Annotated[
        _Sides | Literal["none"],
        Meta(description="the pixels of a square's side, or [height, width], at most resize; or none"),
    ]
    interpolation: Annotated[Interpolation, Meta(description="bilinear, bicubic, nearest or nearest-exact")]
    antialias: Annotated[bool, Meta(description="true or false")]
    mean: Annotated[
        Annotated[list[float], Meta(min_length=1, max_length=3)],
        Meta(description="a list of a number for each channel: three, or one for channels: gray"),
    ]
    std: Annotated[
        Annotated[list[_Std], Meta(min_length=1, max_length=3)],
        Meta(description="a list of a number above 0 for each channel: three, or one for channels: gray"),
    ]
    pad: Annotated[
        bool | Literal["center"],
        Meta(
            description="true, center or false: scale the whole picture into `resize` without changing its shape, and "
            "fill the rest, at the right or below, or on both sides with center; crop must be resize or none"
        ),
    ] = False
    fill: Annotated[
        _Byte | Annotated[list[_Byte], Meta(min_length=3, max_length=3)] | UnsetType,
        Meta(description="the colour of the padding: a whole number from 0 to 255, or a list [red, green, blue]"),
    ] = UNSET
    channels: Annotated[
        ChannelOrder, Meta(description="rgb, bgr or gray: the channels that the network takes, in this order")
    ] = "rgb"
    max_value: Annotated[
        Literal[1, 255],
        Meta(description="1 or 255: the value of a white pixel before mean is subtracted"),
    ] = 1


class ClipFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The frames that a model takes together."""

    frames: Annotated[_Frames, Meta(description="a whole number of frames, at least 2")]
    rate: Annotated[_Rate, Meta(description="the frames a second that the weights were trained with, above 0")]
    middle: Annotated[
        _Pixels | UnsetType,
        Meta(
            description="the number of frames in the middle that get a value, as many as frames or an even number less"
        ),
    ] = UNSET


class NetworkFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The parts of the architecture cnn_rnn."""

    backbone: Annotated[_Path, Meta(description="a torchvision classifier of pictures, such as mobilenet_v2")]
    rnn: Annotated[Cell, Meta(description="gru or lstm")] = "gru"
    hidden: Annotated[_Pixels, Meta(description="how many numbers a layer of the RNN remembers, at least 1")] = 128
    layers: Annotated[_Pixels, Meta(description="the number of layers of the RNN, at least 1")] = 1
    layer: Annotated[
        _Path | UnsetType,
        Meta(description="the backbone's layer whose output the RNN sees; by default what its classifier would see"),
    ] = UNSET
    grid: Annotated[_Pixels, Meta(description="to how many rows and columns `layer`'s output is averaged")] = 1


class RecurrentFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a model of the task recurrent goes from frame to frame."""

    rate: Annotated[
        _Rate | UnsetType,
        Meta(description="the frames a second that the weights were trained with; by default every frame is taken"),
    ] = UNSET
    silence_ms: Annotated[
        _Pixels, Meta(description="the milliseconds without a frame after which the hidden state begins anew")
    ] = 10_000


class Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A torchvision architecture with its weights, or a torch.export program, with labels and preprocessing."""

    name: Annotated[str, Meta(pattern=r"^[^/\s]+$", description="a name without slash or space")]
    task: Annotated[
        TaskName,
        Meta(
            description="classify (a picture), multi_label (name the classes of a picture, several or none), clip "
            "(classify a clip), frame_values (a value for each frame), "
            "recurrent (classify each frame of a stream), detect (boxes), segment (areas) or embed (a vector)"
        ),
    ] = "classify"
    clip: Annotated[ClipFields | UnsetType, Meta(description="a mapping, for the tasks clip and frame_values")] = UNSET
    threshold: Annotated[
        _Share | Annotated[list[_Share], Meta(min_length=1)] | UnsetType,
        Meta(
            description="a number from 0 to 1: for the task frame_values, from which value on there is the event; for "
            "detect, from which score on a box is reported; for output: sigmoid, from which probability on the second "
            "of two labels is predicted; for multi_label, from which probability on a class is named, also a list of a "
            "number for each label"
        ),
    ] = UNSET
    most: Annotated[
        _Pixels | UnsetType, Meta(description="the most boxes of a picture that are reported, for the task detect")
    ] = UNSET
    network: Annotated[NetworkFields | UnsetType, Meta(description="a mapping, for the architecture cnn_rnn")] = UNSET
    recurrent: Annotated[RecurrentFields | UnsetType, Meta(description="a mapping, for the task recurrent")] = UNSET
    architecture: Annotated[
        _Path | UnsetType, Meta(description="a torchvision builder, such as mobilenet_v2, r3d_18 for clips; or cnn_rnn")
    ] = UNSET
    weights: Annotated[
        _Path | UnsetType, Meta(description="the path of the architecture's state dict, relative to this file")
    ] = UNSET
    program: Annotated[
        _Path | UnsetType, Meta(description="the path of a torch.export .pt2 file, relative to this file")
    ] = UNSET
    arguments: Annotated[
        dict[str, _Argument] | UnsetType,
        Meta(description="a mapping, what torchvision's builder of the architecture takes, such as {image_size: 384}"),
    ] = UNSET
    weights_entry: Annotated[
        _Path | UnsetType,
        Meta(description="which mapping of the weights' file is meant if several fit, such as state_dict_ema"),
    ] = UNSET
    output_name: Annotated[
        _Path | UnsetType,
        Meta(description='which of several outputs of a program is meant: a key, or a quoted number such as "0"'),
    ] = UNSET
    sha256: Annotated[
        _Sha256, Meta(description="64 hex digits, the hash of weights or program (sha256sum FILE), quoted")
    ]
    exported_from: Annotated[
        _Sha256 | UnsetType,
        Meta(description="64 hex digits, the hash of the weights that a program was exported from, quoted"),
    ] = UNSET
    labels: Annotated[
        _Path | Annotated[list[_Label], Meta(min_length=1)] | dict[int | str, _Label | int] | UnsetType,
        Meta(
            description="a file with a class name per line or with JSON or YAML, relative to this file, a list (quote "
            "no, yes, 7), or a mapping from index to name"
        ),
    ] = UNSET
    preprocessing: Annotated[PreprocessingFields, Meta(description="a mapping")]
    output: Annotated[
        Output | UnsetType,
        Meta(
            description="logits, probabilities or sigmoid, depending on what the network returns: scores for a "
            "softmax, probabilities, or scores for a sigmoid of each"
        ),
    ] = UNSET


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest, which is also in `schemas/model-manifest.v1.json`."""
    schema = msgspec.json.schema(Document)
    kinds = [
        {"required": ["architecture", "weights"], "properties": _none_of("program", "exported_from", "output_name")},
        {"required": ["program"], "properties": _none_of("architecture", "weights", "arguments", "weights_entry")},
    ]
    two = {"anyOf": [{"type": ["string", "object"]}, {"minItems": 2, "maxItems": 2, "uniqueItems": True}]}
    tasks = [
        {
            "if": _is_task({"clip", "frame_values"}),
            "then": {"required": ["clip"]},
            "else": {"properties": {"clip": False}},
        },
        {
            "if": _is_task({"frame_values"}),
            "then": {"properties": {"labels": two, "clip": {"required": ["middle"]}}},
            "else": {"properties": {"clip": {"properties": {"middle": False}}}},
        },
        *_output_rules(),
        _only_for({"detect"}, "most"),
        {
            "if": {"properties": {"architecture": {"const": CNN_RNN}}, "required": ["architecture"]},
            "then": {"required": ["network"], "properties": {"task": {"enum": ["clip", "recurrent"]}}},
            "else": {"properties": {"network": False}},
        },
        {
            "if": _is_task({"recurrent"}),
            "then": {"required": ["recurrent", "architecture"], "properties": {"architecture": {"const": CNN_RNN}}},
            "else": {"properties": {"recurrent": False}},
        },
        {"if": _is_task(SCORED, by_default=True), "then": {"required": ["output"]}},
        {"if": _is_task(NAMELESS), "else": {"required": ["labels"]}},
    ]
    schema["$defs"][NetworkFields.__name__] |= {
        "if": {"properties": {"grid": {"minimum": 2}}, "required": ["grid"]},
        "then": {"required": ["layer"]},
    }
    schema["$defs"][PreprocessingFields.__name__]["allOf"] = _preprocessing_rules()
    fields = schema["$defs"][Document.__name__]["properties"]
    fields["arguments"]["propertyNames"] = {"not": {"enum": sorted(FOLLOWING)}}
    schema["$defs"][Document.__name__] |= {"title": "Manifest of a model", "oneOf": kinds, "allOf": tasks}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _output_rules() -> list[dict[str, Any]]:
    """Return which labels, outputs and thresholds go together."""
    sigmoid = {"properties": {"output": {"const": "sigmoid"}}, "required": ["output"]}
    two = {"anyOf": [{"type": "string"}, {"minItems": 2, "maxItems": 2, "uniqueItems": True}]}
    several, one_class = _is_task({"multi_label"}), _is_task({"classify", "clip", "recurrent"}, by_default=True)
    decides = _is_task({"frame_values", "detect", "multi_label"})
    return [
        {"if": {"not": {"anyOf": [decides, sigmoid]}}, "then": {"properties": {"threshold": False}}},
        {
            "if": several,
            "then": {"properties": {"output": {"not": {"const": "logits"}}, "labels": {"uniqueItems": True}}},
            "else": {"properties": {"threshold": {"type": "number"}}},
        },
        {"if": {"allOf": [one_class, sigmoid]}, "then": {"properties": {"labels": two}}},
        {
            "if": {"not": {"anyOf": [several, _is_task(NAMELESS)]}},
            "then": {"properties": {"labels": {"minItems": 2}}},
        },
    ]


def _preprocessing_rules() -> list[dict[str, Any]]:
    """Return which numbers of preprocessing go together."""
    padded = {"properties": {"pad": {"enum": [True, "center"]}}, "required": ["pad"]}
    one, three = (
        {"properties": {name: {rule: number} for name in ("mean", "std")}}
        for rule, number in (("maxItems", 1), ("minItems", 3))
    )
    return [
        {
            "if": {"properties": {"channels": {"const": "gray"}}, "required": ["channels"]},
            "then": one,
            "else": three,
        },
        {
            "if": {"properties": {"max_value": {"const": 255}}, "required": ["max_value"]},
            "else": {"properties": {name: {"items": {"maximum": 1}} for name in ("mean", "std")}},
        },
        {
            "if": {"properties": {"crop": {"const": "none"}}, "required": ["crop"]},
            "then": {"anyOf": [{"properties": {"resize": {"type": "array"}}}, padded]},
        },
        {"if": {"required": ["fill"]}, "then": padded},
    ]


def _is_task(names: Collection[str], *, by_default: bool = False) -> dict[str, Any]:
    condition: dict[str, Any] = {"properties": {"task": {"enum": sorted(names)}}}
    return condition if by_default else {**condition, "required": ["task"]}


def _none_of(*fields: str) -> dict[str, bool]:
    return dict.fromkeys(fields, False)


def _only_for(names: Collection[str], field: str) -> dict[str, Any]:
    return {"if": _is_task(names), "else": {"properties": {field: False}}}
