"""Read and write a model's manifest: the file `model.yaml` of its folder, as in `schemas/model-manifest.v1.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from worker.domain.clips import ClipShape
from worker.domain.errors import SettingsError
from worker.domain.preprocessing import Interpolation, Output, Preprocessing
from worker.domain.results import ModelIdentity
from worker.models.store import sha256_of_file

TaskName = Literal["classify", "clip", "frame_values"]

MANIFEST_FILE: Final = "model.yaml"

_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model's manifest, with absolute paths and with the class names.

    Attributes:
        name: the model's name, without slash or space.
        task: the model's task.
        architecture: torchvision's name of the network; None if `file` is a complete `torch.export` program.
        file: the weights of the architecture, or the program; it is not checked here.
        sha256: hash of `file`, 64 hex digits.
        exported_from: sha256 of the weights that a program was exported from. Two exports of the same weights have
            different bytes (they contain source paths and torch's version), but are the same model.
        labels: class names by index; a name may occur twice. Of the task `frame_values`, the name of nothing and the
            name of the event.
        clip: what the model takes, if it sees time; None for single pictures.
        threshold: of the task `frame_values`, from which value on there is the event.
    """

    name: str
    task: TaskName
    architecture: str | None
    file: Path
    sha256: str
    exported_from: str | None
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    output: Output
    clip: ClipShape | None = None
    threshold: float = _THRESHOLD

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a sample: (height, width, 3), or (frames, height, width, 3)."""
        places = (self.clip.frames,) if self.clip else ()
        return (*places, *self.preprocessing.crop_size, 3)

    @property
    def identity(self) -> ModelIdentity:
        """Name and version: the first 12 hex digits of the sha256 of the weights."""
        return ModelIdentity(self.name, (self.exported_from or self.sha256)[:12])


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Args:
        path: the model's folder or its manifest; paths in the manifest are relative to its folder.

    Raises:
        SettingsError: lists all faults of the file.
    """
    file = path / MANIFEST_FILE if path.is_dir() else path
    faults: list[str] = []
    document = _read(_Document, _parse(file), "", faults)
    if document is not None:
        labels = _read_labels(document.labels, file.parent, faults)
        _compare_fields(document, faults)
        _compare_with_task(document, labels, faults)
    if document is None or faults:
        raise SettingsError([f"{file}: {fault}" for fault in faults])
    return Manifest(
        name=document.name,
        task=document.task,
        architecture=document.architecture or None,
        file=(file.parent / (document.weights or document.program or "")).absolute(),
        sha256=document.sha256,
        exported_from=document.exported_from or None,
        labels=labels,
        preprocessing=_preprocessing(document.preprocessing),
        output=document.output,
        clip=_clip(document.clip),
        threshold=_THRESHOLD if document.threshold is UNSET else document.threshold,
    )


def write_manifest(
    folder: Path,
    network: Mapping[str, str],
    *,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    task: TaskName = "classify",
    clip: ClipShape | None = None,
) -> None:
    """Write the manifest and the file of class names of a model that returns logits.

    Args:
        folder: the model's folder, which already has its weights or its program.
        network: the manifest's `name`, and either `architecture` and `weights` or `program`.
        labels: class names by index.
        preprocessing: the preprocessing that the network was trained with.
        task: the model's task.
        clip: what the model takes, if it sees time.
    """
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    seen = {name: value for name, value in asdict(clip).items() if value is not None} if clip else {}
    document = {
        **network,
        **({"task": task, "clip": seen} if seen else {}),
        "sha256": sha256_of_file(folder / (network.get("weights") or network["program"])),
        "labels": "labels.txt",
        "preprocessing": asdict(preprocessing),
        "output": "logits",
    }
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None)
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest, which is also in `schemas/model-manifest.v1.json`."""
    schema = msgspec.json.schema(_Document)
    kinds = [
        {"required": ["architecture", "weights"], "properties": {"program": False, "exported_from": False}},
        {"required": ["program"], "properties": {"architecture": False, "weights": False}},
    ]
    two = {"anyOf": [{"type": "string"}, {"minItems": 2, "maxItems": 2, "uniqueItems": True}]}
    tasks = [
        {
            "if": {"properties": {"task": {"enum": ["clip", "frame_values"]}}, "required": ["task"]},
            "then": {"required": ["clip"]},
            "else": {"properties": {"clip": False}},
        },
        {
            "if": {"properties": {"task": {"const": "frame_values"}}, "required": ["task"]},
            "then": {"properties": {"labels": two, "clip": {"required": ["middle"]}}},
            "else": {"properties": {"threshold": False, "clip": {"properties": {"middle": False}}}},
        },
    ]
    schema["$defs"][_Document.__name__] |= {"title": "Manifest of a model", "oneOf": kinds, "allOf": tasks}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


# Descriptions are used in the schema and in the texts of faults: "crop must be ...".
_Path = Annotated[str, Meta(min_length=1)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
_Pixels = Annotated[int, Meta(ge=1)]
# A list, because msgspec 0.22 reads beyond its memory for a union of a limited number and a tuple.
_Sides = _Pixels | Annotated[list[_Pixels], Meta(min_length=2, max_length=2)]
_Mean = Annotated[float, Meta(ge=0, le=1)]
_Std = Annotated[float, Meta(gt=0, le=1)]
_Label = Annotated[str, Meta(min_length=1)]
_Frames = Annotated[int, Meta(ge=2)]
_Rate = Annotated[float, Meta(gt=0, le=1000)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class _Preprocessing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Resize, crop the middle, then compute (pixel / 255 - mean) / std. Pixels are RGB."""

    resize: Annotated[
        _Sides, Meta(description="the pixels of the shorter side, at least 1, or exactly [height, width]")
    ]
    crop: Annotated[_Sides, Meta(description="the pixels of a square's side, or [height, width], at most resize")]
    interpolation: Annotated[Interpolation, Meta(description="bilinear, bicubic or nearest")]
    antialias: Annotated[bool, Meta(description="true or false")]
    mean: Annotated[tuple[_Mean, _Mean, _Mean], Meta(description="three numbers from 0 to 1")]
    std: Annotated[tuple[_Std, _Std, _Std], Meta(description="three numbers above 0, at most 1")]


class _Clip(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The frames that a model takes together."""

    frames: Annotated[_Frames, Meta(description="a whole number of frames, at least 2")]
    rate: Annotated[_Rate, Meta(description="the frames a second that the weights were trained with, above 0")]
    middle: Annotated[
        _Pixels | UnsetType,
        Meta(
            description="the number of frames in the middle that get a value, as many as frames or an even number less"
        ),
    ] = UNSET


class _Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A torchvision architecture with its weights, or a torch.export program, with labels and preprocessing."""

    name: Annotated[str, Meta(pattern=r"^[^/\s]+$", description="a name without slash or space")]
    task: Annotated[
        TaskName,
        Meta(description="classify (a picture), clip (classify a clip) or frame_values (a value for each frame)"),
    ] = "classify"
    clip: Annotated[_Clip | UnsetType, Meta(description="a mapping, for the tasks clip and frame_values")] = UNSET
    threshold: Annotated[
        _Share | UnsetType,
        Meta(description="a number from 0 to 1, for the task frame_values: from which value on there is the event"),
    ] = UNSET
    architecture: Annotated[
        _Path | UnsetType, Meta(description="a torchvision builder, such as mobilenet_v2, or r3d_18 for clips")
    ] = UNSET
    weights: Annotated[
        _Path | UnsetType, Meta(description="the path of the architecture's state dict, relative to this file")
    ] = UNSET
    program: Annotated[
        _Path | UnsetType, Meta(description="the path of a torch.export .pt2 file, relative to this file")
    ] = UNSET
    sha256: Annotated[
        _Sha256, Meta(description="64 hex digits, the hash of weights or program (sha256sum FILE), quoted")
    ]
    exported_from: Annotated[
        _Sha256 | UnsetType,
        Meta(description="64 hex digits, the hash of the weights that a program was exported from, quoted"),
    ] = UNSET
    labels: Annotated[
        _Path | Annotated[list[_Label], Meta(min_length=1)],
        Meta(description="a file with a class name per line, relative to this file, or a list (quote no, yes, 7)"),
    ]
    preprocessing: Annotated[_Preprocessing, Meta(description="a mapping")]
    output: Annotated[Output, Meta(description="logits or probabilities, depending on what the network returns")]


_Section = TypeVar("_Section", bound=msgspec.Struct)


def _parse(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            [f"{file}: no such file; a model is a folder with a {MANIFEST_FILE}, or that file"]
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"{file}: cannot be read as YAML: {error}"]) from error


def _read(section: type[_Section], raw: object, prefix: str, faults: list[str]) -> _Section | None:
    """Convert field by field, because msgspec stops at the first fault; None if there is any fault."""
    if not isinstance(raw, dict):
        faults.append(f"{prefix.rstrip('.') or 'the file'} must be a mapping, not {shortened(raw)}")
        return None
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    found: dict[str, Any] = {}
    before = len(faults)
    faults += [
        f"{prefix}{key} is not a field; known fields are {', '.join(fields)}" for key in raw if key not in fields
    ]
    for name, field in fields.items():
        kind, meta = _without_unset(field.type.__origin__), field.type.__metadata__[-1]
        if name not in raw:
            if field.required:
                faults.append(f"{prefix}{name} is missing; give {meta.description}")
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found[name] = _read(kind, raw[name], f"{prefix}{name}.", faults)
        else:
            try:
                found[name] = msgspec.convert(raw[name], field.type)
            except msgspec.ValidationError:
                faults.append(f"{prefix}{name} must be {meta.description}, not {shortened(raw[name])}")
    return section(**found) if len(faults) == before else None


def _without_unset(kind: Any) -> Any:
    """Return the section of an optional section; anything else as it is."""
    sections = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return sections[0] if sections else kind


def _read_labels(labels: str | list[str], folder: Path, faults: list[str]) -> tuple[str, ...]:
    if isinstance(labels, list):
        return tuple(labels)
    file = folder / labels
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"labels: {file} cannot be read ({error}); give a text file with one class name per line")
        return ()
    names = tuple(line.strip() for line in lines)
    if not names:
        faults.append(f"labels: {file} is empty; give one class name per line")
    # An empty line would shift all classes after it.
    faults += [f"labels: line {number} of {file} is empty" for number, name in enumerate(names, 1) if not name]
    return names


def _compare_fields(document: _Document, faults: list[str]) -> None:
    """Find faults in combinations of fields."""
    given = {name for name in ("architecture", "weights", "program") if getattr(document, name) is not UNSET}
    if given not in ({"architecture", "weights"}, {"program"}):
        faults.append(f"give architecture and weights, or program alone, not {' and '.join(sorted(given)) or 'none'}")
    if document.exported_from is not UNSET and document.program is UNSET:
        faults.append("exported_from is only for a program: the version of weights is their own sha256")
    numbers = _preprocessing(document.preprocessing)
    high, wide = (numbers.resize,) * 2 if isinstance(numbers.resize, int) else numbers.resize
    if numbers.crop_size[0] > high or numbers.crop_size[1] > wide:
        faults.append("preprocessing.crop must be at most preprocessing.resize, or pictures get a black border")


def _compare_with_task(document: _Document, labels: Sequence[str], faults: list[str]) -> None:
    """Find what the task lacks, and what is not for it."""
    task, clip, values = document.task, document.clip, document.task == "frame_values"
    if task == "classify" and clip is not UNSET:
        faults.append("clip is only for the tasks clip and frame_values: task classify takes single pictures")
    if task != "classify" and clip is UNSET:
        faults.append(f"clip is missing; task {task} needs its frames and rate")
    if document.threshold is not UNSET and not values:
        faults.append(f"threshold is only for the task frame_values, not for {task}")
    if values and labels and not (len(labels) == 2 == len(set(labels))):
        faults.append("labels must be two different names for task frame_values: of nothing, and of the event")
    if clip is UNSET or task == "classify":
        return
    if (clip.middle is not UNSET) != values:
        faults.append("clip.middle is missing for task frame_values" if values else "clip.middle is not for task clip")
    elif clip.middle is not UNSET and (clip.middle > clip.frames or (clip.frames - clip.middle) % 2):
        faults.append(f"clip.middle must be clip.frames, {clip.frames}, or an even number less, not {clip.middle}")


def _clip(section: _Clip | UnsetType) -> ClipShape | None:
    if section is UNSET:
        return None
    return ClipShape(section.frames, section.rate, None if section.middle is UNSET else section.middle)


def _preprocessing(section: _Preprocessing) -> Preprocessing:
    numbers: dict[str, Any] = msgspec.structs.asdict(section)
    sides = {name: tuple(numbers[name]) for name in ("resize", "crop") if isinstance(numbers[name], list)}
    return Preprocessing(**numbers | sides)
