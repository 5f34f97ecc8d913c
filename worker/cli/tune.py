"""`vision-worker tune`: which settings are the fastest here that still answer as they should."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from worker.cli.options import AsJson, ConfigFile
from worker.domain.errors import SettingsError, WorkerError
from worker.domain.frames import CapturedFrame
from worker.settings import read_groups
from worker.tuning.agreement import Bounds

if TYPE_CHECKING:
    from worker.tuning.groups import Choice, Groups
    from worker.tuning.profile import Profile
    from worker.tuning.search import Stage, Tried

_BOUNDS = Bounds()


def tune(
    config: ConfigFile = None,
    frames: Annotated[
        Path | None,
        typer.Option(exists=True, help="A folder of pictures, or a video file; else moving photographs of 640x480."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=8, help="Frames to try it on.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.01, help="For which each candidate is measured.")] = 3.0,
    max_difference: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Allowed between two probabilities of a frame.")
    ] = _BOUNDS.difference,
    min_agreement: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the frames whose most likely class must stay the same.")
    ] = _BOUNDS.share,
    as_json: AsJson = False,  # noqa: FBT002 a flag
) -> None:
    """Measure engines, precision, preparation, threads and batches here, and keep the fastest that agrees.

    What is found is held against torch as it is, in fp32 with exact preparation, on real frames. `run` takes it from
    then on, for this model on this machine; what you set yourself stays as it is, and is not tried otherwise. Takes a
    few minutes, on a machine with nothing else to do. No broker is needed.
    """
    groups = _tunable(config)

    from worker.models.build import find_manifest
    from worker.tuning.candidates import Room
    from worker.tuning.frames import read_frames, sample_frames, set_apart
    from worker.tuning.measure import Trials
    from worker.tuning.profile import Profile, attempt, key_of, write_profile
    from worker.tuning.search import search

    console = Console(stderr=as_json, highlight=False)
    manifest = find_manifest(groups.model)
    key = key_of(manifest, groups.model.device)
    bounds = Bounds(min_agreement, max_difference)
    with console.status("preparing frames and the reference"):
        wanted = count * 5 // 4
        source = read_frames(frames) if frames else _moving_photographs(wanted)
        judged, calibration = set_apart(sample_frames(source, wanted))
        trials = Trials(manifest, groups, judged, calibration=calibration, bounds=bounds, seconds=seconds)
    shown = f"{trials.answered} frames of {frames.absolute() if frames else 'moving photographs, 640x480'}"
    console.print(
        f"{manifest.identity} on {key.processor}, {key.cores} cores; {shown}.\n"
        f"It agrees if the most likely class is the reference's on at least {min_agreement:.2%} of the frames, and no "
        f"probability differs by more than {max_difference:g}. The reference: eager, fp32, exact preparation.",
        markup=False,
    )

    def race(stage: "Stage", choices: "Sequence[Choice]") -> "Sequence[Tried]":
        with console.status(f"{stage.name}: measuring {len(choices)} candidates"):
            ended = trials.race(stage, choices)
        for table in _tables(stage.name, ended):
            console.print(table, "")
        return ended

    found = search(Room.of(groups, cores=key.cores), race)
    profile = Profile(
        key=key,
        tuned_at=datetime.now(UTC).isoformat(timespec="seconds"),
        frames=shown,
        min_agreement=min_agreement,
        max_difference=max_difference,
        settings=dict(found.settings),
        frames_per_second=found.frames_per_second,
        untuned_frames_per_second=found.untuned,
        tried=[attempt(each) for each in found.tried],
    )
    file = write_profile(profile)
    if as_json:
        typer.echo(msgspec.json.encode({"file": str(file), **msgspec.to_builtins(profile)}))
    else:
        console.print(_conclusion(profile, file), markup=False, soft_wrap=True)
        if groups.model.profile == "off":
            console.print("model.profile is off now: without it, the worker takes the profile", soft_wrap=True)


def _tunable(config: Path | None) -> "Groups":
    """Read the settings that have to do with speed; no broker is needed.

    Raises:
        SettingsError: they have faults, or name no model.
    """
    from worker.tuning.groups import Groups

    groups, faults = read_groups(config)
    if faults := [fault for fault in faults if not fault.startswith("kafka")]:
        raise SettingsError(faults)
    return Groups.of(groups)


def _moving_photographs(count: int) -> Iterator[CapturedFrame]:
    from worker.local.cameras import moving_photographs
    from worker.models.packages import FetchFailed

    try:
        return moving_photographs(count)
    except FetchFailed as error:
        raise WorkerError(f"there are no sample frames: name a folder or a video with --frames ({error})") from error


def _tables(title: str, ended: "Sequence[Tried]") -> Iterator[Table]:
    """Show what a stage has found, by those settings in which its candidates differ, and what could not run here."""
    names = dict.fromkeys(name for each in ended for name in each.settings)
    differ = [name for name in names if len({str(each.settings.get(name)) for each in ended}) > 1]
    versus_untuned = any(not each.settings for each in ended)  # in everything, and all is said below
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ["model.settings"] if versus_untuned else differ:
        table.add_column(name.partition(".")[2].replace("_", " "))
    for heading in ("frames/s", "same class", "apart"):
        table.add_column(heading, justify="right")
    table.add_column("why not", overflow="fold")
    refused = defaultdict[str, list[str]](list)
    for each in ended:
        cells = [_shown(each.settings.get(name)) for name in differ]
        if versus_untuned:
            cells = ["best" if each.settings else "without a profile"]
        if each.frames_per_second is None or each.agreement is None:
            refused[each.why_not or ""].append(" ".join(cells))
            continue
        same, apart = f"{each.agreement.share:.1%}", f"{each.agreement.difference:.1g}"
        table.add_row(*cells, f"{each.frames_per_second:.1f}", same, apart, escape(each.why_not or ""))
    yield table
    if refused:
        reasons = Table("not here", Column("because", overflow="fold"), box=None, pad_edge=False)
        for reason, which in refused.items():
            reasons.add_row("\n".join(which), escape(reason))
        yield reasons


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)


def _conclusion(profile: "Profile", file: Path) -> str:
    if profile.untuned_frames_per_second is None:
        gain = ""
    else:
        gain = f", {profile.frames_per_second / profile.untuned_frames_per_second:.2f} times as many as without"
    settings = ", ".join(f"{name}: {_shown(value)}" for name, value in profile.settings.items())
    return (
        f"{profile.frames_per_second:.1f} frames/s{gain} (the whole worker, without Kafka)\n"
        f"{settings or 'nothing is faster than what the worker does by itself'}\n"
        f"Kept in {file}\n"
        "vision-worker run takes it from now on; what you set yourself wins. To undo it, delete the file, or set "
        "model.profile: off"
    )
