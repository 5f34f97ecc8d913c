"""`vision-worker tune`: find the fastest settings on this machine whose answers agree with the reference."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from worker.cli.options import AsJson, ConfigFile, ModelName
from worker.cli.tune_kafka import workers_on_kafka
from worker.domain.errors import SettingsError, WorkerError
from worker.domain.frames import CapturedFrame
from worker.settings import ModelGroup, read_groups
from worker.tuning.agreement import Bounds

if TYPE_CHECKING:
    from worker.settings.offline import Groups
    from worker.tuning.disturbance import Undisturbed
    from worker.tuning.pairs import Ratio
    from worker.tuning.profile import Profile
    from worker.tuning.search import Tried

_BOUNDS = Bounds()
_AS_IT_COMES = "-"
"""Shown for a setting of the worker without a profile."""
_UNITS = {"clip": "clips", "frame_values": "values"}
"""By the model's task, what is measured: each has a prediction. All others have one for each frame."""


def tune(
    config: ConfigFile = None,
    model: ModelName = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="A folder of pictures, or a video file; default: moving photographs of 640x480."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=8, help="Number of frames to measure with.")] = 200,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Seconds for which a candidate is measured at first, in short runs; the best are measured longer.",
        ),
    ] = 3.0,
    max_difference: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Largest allowed difference of two probabilities of a frame.")
    ] = _BOUNDS.difference,
    min_agreement: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the frames whose most likely class must stay the same.")
    ] = _BOUNDS.share,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Measure workers on this Kafka, which needs no login: topics are created there, and deleted at the "
            "end. Without it, a local one is used, if there is one.",
        ),
    ] = None,
    no_kafka: Annotated[bool, typer.Option("--no-kafka", help="Measure without Kafka, which is less exact.")] = False,  # noqa: FBT002 a flag
    as_json: AsJson = False,  # noqa: FBT002 a flag
) -> None:
    """Measure engines, precision, preparation, threads and batches on this machine, and save the fastest that agrees.

    Each candidate is compared with uncompiled torch, in fp32 with exact preparation, on real frames. `run` then uses
    the result for this model on this machine. Your own settings stay unchanged, and no other values are tried for them.
    It takes ten to twenty minutes; the machine should be idle. Workers are measured on a local Kafka, if the extra
    `local` is installed. The brokers of your settings are never used.
    """
    if kafka and no_kafka:
        raise SettingsError(["--kafka and --no-kafka contradict each other: leave one of them out"])
    groups = _read_groups(config, model)

    from worker.models.build import find_manifest
    from worker.tuning.candidates import Room
    from worker.tuning.disturbance import Undisturbed, looks
    from worker.tuning.frames import sample_frames, set_apart
    from worker.tuning.profile import Profile, attempt, key_of, write_profile
    from worker.tuning.search import search
    from worker.tuning.trials import Trials

    console = Console(stderr=as_json, highlight=False)
    manifest = find_manifest(groups.model)
    key = key_of(manifest, groups.model.device)
    bounds = Bounds(min_agreement, max_difference)
    wanted = count * 5 // 4
    in_a_row = manifest.clip is not None or manifest.recurrence is not None
    with ExitStack() as stack:
        with console.status("preparing frames"):
            taken = sample_frames(frames_to_measure(frames, wanted), wanted, in_a_row=in_a_row)
            judged, calibration = set_apart(taken, in_a_row=in_a_row)
        at_hand = workers_on_kafka(kafka, manifest, judged, seconds=seconds, console=console)
        on_kafka = None if no_kafka else stack.enter_context(at_hand)
        with console.status("preparing the reference"):
            trials = Trials(
                manifest,
                groups,
                judged,
                calibration=calibration,
                bounds=bounds,
                seconds=seconds,
                undisturbed=Undisturbed(looks(on_kafka.brokers if on_kafka else []), seconds=seconds),
                on_kafka=on_kafka,
            )
        unit = _UNITS.get(manifest.task, "frames")
        description = f"{trials.answered} {unit} of {frames.absolute() if frames else 'moving photographs, 640x480'}"
        console.print(
            f"{manifest.identity} on {key.processor}, {key.cores} cores; {description}.\n"
            f"A candidate agrees if it predicts the same as the reference on at least {min_agreement:.2%} of the "
            f"frames and no probability differs by more than {max_difference:g}. The reference is eager, fp32, exact.",
            markup=False,
        )

        def tell(results: "Sequence[Tried]") -> None:
            for table in _tables(results, unit):
                console.print(table, "")

        with console.status("measuring candidates"):
            found = search(Room.of(groups, cores=key.cores), trials, seconds=seconds, tell=tell)
    profile = Profile(
        key=key,
        tuned_at=datetime.now(UTC).isoformat(timespec="seconds"),
        frames=description,
        min_agreement=min_agreement,
        max_difference=max_difference,
        settings=dict(found.settings),
        frames_per_second=found.frames_per_second,
        untuned_frames_per_second=found.untuned,
        tried=[attempt(each) for each in found.tried],
        on_kafka=on_kafka is not None,
    )
    file = write_profile(profile)
    if as_json:
        typer.echo(msgspec.json.encode({"file": str(file), **msgspec.to_builtins(profile)}))
    else:
        console.print(_conclusion(profile, file, unit) + _disturbance(trials.undisturbed), markup=False, soft_wrap=True)
        if groups.model.profile == "off":
            console.print("model.profile is off now: remove that setting to use the profile", soft_wrap=True)


def _read_groups(config: Path | None, model: str | None) -> "Groups":
    """Read the settings that affect speed; no broker is needed.

    Raises:
        SettingsError: they have faults, or name no model.
    """
    from worker.settings.offline import Groups

    groups, faults = read_groups(config)
    if faults := [fault for fault in faults if not fault.startswith(("kafka", "model" if model else "kafka"))]:
        raise SettingsError(faults)
    return Groups.of(groups | {"model": ModelGroup.named(model)} if model else groups)


def frames_to_measure(source: Path | None, count: int) -> Iterator[CapturedFrame]:
    """Return the frames of a folder or a video; without one, `count` moving photographs of 640x480.

    Raises:
        WorkerError: there is no source, and the photographs cannot be downloaded.
    """
    from worker.local.cameras import moving_photographs
    from worker.models.packages import FetchFailed
    from worker.tuning.frames import read_frames

    if source:
        return read_frames(source)
    try:
        return moving_photographs(count)
    except FetchFailed as error:
        raise WorkerError(f"there are no sample frames: give a folder or a video with --frames ({error})") from error


def _tables(results: "Sequence[Tried]", unit: str) -> Iterator[Table]:
    """Yield tables of a stage's results: candidates with the settings that differ, and what there is to say of some."""
    names = dict.fromkeys(name for each in results for name in each.settings)
    differ = [name for name in names if len({str(each.settings.get(name, _AS_IT_COMES)) for each in results}) > 1]
    heading = ", ".join(name.partition(".")[2].replace("_", " ") for name in differ)
    table = Table(
        Column(heading, overflow="fold"), title=results[0].stage, title_justify="left", box=None, pad_edge=False
    )
    for measured in (f"{unit}/s", "over the first", "pairs", "same", "differs"):
        table.add_column(measured, justify="right", no_wrap=True)
    told = defaultdict[str, list[str]](list)
    for each in results:
        candidate = " ".join(_format(each.settings.get(name, _AS_IT_COMES)) for name in differ)
        if reason := each.why_not or each.note:
            told[reason].append(candidate)
        if each.frames_per_second is not None and each.ratio is not None and each.agreement is not None:
            speed = [f"{each.frames_per_second:.1f}", _interval(each.ratio), str(each.pairs)]
            table.add_row(candidate, *speed, f"{each.agreement.share:.1%}", f"{each.agreement.difference:.1g}")
    yield table
    if told:
        reasons = Table(box=None, pad_edge=False, show_header=False)
        for reason, which in told.items():
            reasons.add_row("\n".join(which), escape(reason))
        yield reasons


def _interval(ratio: "Ratio") -> str:
    return f"{ratio.middle:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low < ratio.high else "1"


def _format(value: object) -> str:
    return "unset" if value is None else str(value)


def _disturbance(runs: "Undisturbed") -> str:
    if not runs.repeated:
        return ""
    text = f"\nOther programs took the cores: {runs.repeated} runs were repeated, which took {runs.wasted:.0f} s"
    return text + (f"; {runs.endured} disturbed runs count, so tune again on an idle machine" if runs.endured else "")


def _conclusion(profile: "Profile", file: Path, unit: str) -> str:
    if profile.untuned_frames_per_second is None:
        gain = ""
    else:
        gain = f", {profile.frames_per_second / profile.untuned_frames_per_second:.2f} times as many as without"
    kafka = "on Kafka" if profile.on_kafka else "without Kafka"
    settings = ", ".join(f"{name}: {_format(value)}" for name, value in profile.settings.items())
    return (
        f"{profile.frames_per_second:.1f} {unit}/s{gain} (the whole worker, {kafka})\n"
        f"{settings or 'no settings are faster than the current ones'}\n"
        f"Saved in {file}\n"
        "vision-worker run uses it from now on; your own settings take precedence. To undo it, delete the file, or set "
        "model.profile: off"
    )
