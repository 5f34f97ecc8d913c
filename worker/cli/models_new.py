"""`vision-worker models new`: make a model's folder from a file of weights or a program."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
import yaml

from worker.cli.options import AsJson, parse_option
from worker.domain.errors import ModelUnavailable, SettingsError, WorkerError
from worker.domain.preprocessing import ChannelOrder, Interpolation, Output
from worker.models.manifest import MANIFEST_FILE
from worker.models.manifest_fields import TaskName
from worker.models.store import make_folder_once

if TYPE_CHECKING:
    from worker.models.new_model import NewModel

_PLAIN: Final = frozenset({"name", "sha256"})
_COLUMNS: Final = 80
_INDENT: Final = 17
_NAMED: Final = 6
_SIDES: Final = re.compile(r"(\d+)(?:x(\d+))?")


def _sides(text: str) -> int | tuple[int, int]:
    if not (found := _SIDES.fullmatch(text)):
        raise typer.BadParameter(f"{text!r} is no size: give a number such as 224, or HEIGHTxWIDTH such as 480x640")
    return (int(found[1]), int(found[2])) if found[2] else int(found[1])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: give a number for each channel, such as 0.485,0.456,0.406") from None


def new(
    file: Annotated[
        Path,
        typer.Argument(
            help="Weights of a network of torchvision (.pth, .pt, .ckpt, .safetensors), or a program of torch.export "
            "(.pt2)."
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Class names in the order of the training: one a line, or JSON or YAML. By default those in the file; "
            "'numbers' calls classes by their index.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The model's folder, which is created. Default: the file's name, here.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in predictions. Default: the folder's name.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="The network, such as resnet18. Default: found by its tensors.")
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What torchvision's builder took in the training, such as width_mult=0.5; repeat for more.",
        ),
    ] = None,
    entry: Annotated[
        str | None, typer.Option(help="Which weights are meant if a file has several, such as state_dict_ema.")
    ] = None,
    task: Annotated[
        TaskName | None,
        typer.Option(
            help="multi_label: several classes in a picture; embed: a vector. Default: what the network is for."
        ),
    ] = None,
    output: Annotated[Output | None, typer.Option(help="What a program returns.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="The weights of torchvision whose transforms() the training used, such as IMAGENET1K_V2.",
        ),
    ] = None,
    resize: Annotated[
        Any,
        typer.Option(
            parser=_sides,
            metavar="N or HxW",
            help="What pictures were resized to: the shorter side, or exactly height x width.",
        ),
    ] = None,
    crop: Annotated[Any, typer.Option(parser=_sides, metavar="N or HxW", help="What was cut from the middle.")] = None,
    mean: Annotated[
        Any, typer.Option(parser=_numbers, metavar="R,G,B", help="What was subtracted, of pixels from 0 to 1.")
    ] = None,
    std: Annotated[Any, typer.Option(parser=_numbers, metavar="R,G,B", help="What they were divided by.")] = None,
    interpolation: Annotated[Interpolation | None, typer.Option(help="How pictures were resized.")] = None,
    antialias: Annotated[
        bool | None, typer.Option(help="Whether pictures were smoothed while they shrank; OpenCV does not.")
    ] = None,
    channels: Annotated[ChannelOrder | None, typer.Option(help="Their order; OpenCV reads bgr.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 a flag
) -> None:
    """Make a model's folder from a file of weights, and show that it runs.

    The network is found by the names and shapes of the weights. Reading weights runs nothing of the file.
    """
    folder = out or Path(file.stem)
    if folder.exists():
        raise SettingsError(
            [f"{folder} exists, and nothing is overwritten: name another folder with --out, or delete it"]
        )
    from worker.models.new_model import Told, describe_file
    from worker.models.new_preprocessing import ToldPreprocessing

    told = Told(
        labels=labels,
        architecture=architecture,
        arguments={key: yaml.safe_load(value) for key, value in map(parse_option, argument or ())},
        entry=entry,
        task=task,
        output=output,
        preprocessing=ToldPreprocessing(
            preset=preset,
            resize=resize,
            crop=crop,
            interpolation=interpolation,
            antialias=antialias,
            mean=mean,
            std=std,
            channels=channels,
        ),
    )
    model = describe_file(file, re.sub(r"[/\s]+", "-", name or folder.name), told)
    make_folder_once(folder, lambda unfinished: _write(model, unfinished), holds=MANIFEST_FILE)
    if as_json:
        facts = {
            "folder": str(folder),
            **{line.field: line.value for line in model.lines},
            "labels": list(model.labels.names),
        }
        typer.echo(msgspec.json.encode(facts))
        return
    _print(model, folder)


def _write(model: "NewModel", folder: Path) -> None:
    """Write the folder, and run the model once from there: what does not run leaves no folder."""
    from worker.models.build import load_model
    from worker.settings import ModelGroup

    model.write(folder)
    try:
        load_model(ModelGroup(path=folder, profile="off")).warm_up(1)
    except WorkerError as error:
        # The folder has another name until it is complete.
        raise ModelUnavailable(str(error).replace(f"{folder.absolute()}/", "")) from error


def _print(model: "NewModel", folder: Path) -> None:
    """Say what the folder has, where it comes from, and what to do next."""
    typer.echo(f"{folder / MANIFEST_FILE}")
    for line in model.lines:
        if line.field in _PLAIN:
            continue
        shown = _names(model.labels.names) if line.field == "labels" else _text(line.value)
        _echo(line.field, shown)
        if line.source:
            _echo("", f"({line.source})")
    typer.echo("\nThe model runs: one black picture went through it.")
    typer.echo(
        "Wrong preprocessing makes it wrong without an error: compare the numbers above\n"
        f"with the training, and correct them in {folder / MANIFEST_FILE} if they differ."
    )
    typer.echo("\nNext, with your own folder as PICTURES:")
    typer.echo(f"  vision-worker replay PICTURES --model {folder}")
    typer.echo(f"  vision-worker evaluate {folder} PICTURES   # with a sub-folder for each class")
    typer.echo("Then with Kafka:")
    typer.echo(f"  VISION_WORKER_MODEL__PATH={folder} vision-worker run")


def _echo(word: str, text: str) -> None:
    for number, part in enumerate(textwrap.wrap(text, _COLUMNS - _INDENT)):
        typer.echo(f"  {'' if number else word:<{_INDENT - 2}}{part}")


def _names(labels: Sequence[str]) -> str:
    return ", ".join((*labels[:_NAMED], *(["..."] if len(labels) > _NAMED else [])))


def _text(value: object) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
        case list():
            return " ".join(f"{each:.5g}" for each in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
