"""`vision-worker size`: how many workers, partitions and brokers some cameras need, and what breaks first."""

import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from worker.cli.options import AsJson, ConfigFile, ModelName, next_command
from worker.cli.size_report import limit_text, lines_of, next_steps, remarks, tight_limits
from worker.domain.sizing import WORKER_BYTES, Cameras, Limit, Plan, Size, Speed, limits_of, size_of

if TYPE_CHECKING:
    from worker.models.manifest import Manifest
    from worker.settings import SamplingGroup
    from worker.settings.offline import Groups

USUAL_FRAME: Final = 40_000
"""Bytes of a frame if nothing says more: a JPEG of 640x480."""
_PLAN: Final = Plan()
_USUAL_MODEL: Final = "mobilenet_v2"
_MEASURED_WITH: Final = 64
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


Guarantee = Literal["at_least_once", "exactly_once"]


@dataclass(frozen=True, slots=True)
class Measured:
    """The speed of a worker, and where it is known from.

    Attributes:
        frame_bytes: mean size of the frames that it was measured with; None if that is not known.
    """

    speed: Speed
    source: str
    frame_bytes: int | None = None


def _seconds(text: str) -> float:
    """Read a duration of the command line."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS and int(text[:-1]) > 0:
        return float(int(text[:-1]) * _UNITS[text[-1]])
    raise typer.BadParameter(f"{text!r} is no duration; write a number and s, m, h or d, such as 90s, 1h or 7d")


def size(
    cameras: Annotated[int, typer.Option(min=1, help="Number of cameras.")],
    fps: Annotated[float, typer.Option(min=0.001, help="Frames per second of each camera.")],
    *,
    config: ConfigFile = None,
    model: ModelName = None,
    frame_kb: Annotated[
        float | None, typer.Option(min=0.001, help="Mean size of a frame in kB; default: as measured, else 40.")
    ] = None,
    per_worker: Annotated[
        float | None,
        typer.Option(min=0.001, help="Predictions per second of one worker; without it, they are measured here."),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(exists=True, help="Measure on this folder of pictures, or on this video.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for which the worker is measured.")] = 5.0,
    guarantee: Annotated[
        Guarantee | None, typer.Option(help="How results are delivered; default: as the settings say.")
    ] = None,
    headroom: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of their speed that workers and networks use on average.")
    ] = _PLAN.headroom,
    retention: Annotated[Any, typer.Option(parser=_seconds, metavar="TIME", help="How long frames are kept.")] = "1h",
    results_retention: Annotated[
        Any, typer.Option(parser=_seconds, metavar="TIME", help="How long predictions are kept.")
    ] = "7d",
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = _PLAN.replication,
    gbit: Annotated[float, typer.Option(min=0.01, help="Network of each broker, in Gbit/s.")] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Compute how many workers, partitions and brokers some cameras need, and say what breaks first.

    The speed of a worker comes from the profile of `tune` on this machine, else it is measured for a few seconds.
    The model is that of --model, else that of the settings, else mobilenet_v2. No broker is needed. Each figure is
    shown with its arithmetic.
    """
    from worker.models.build import find_manifest
    from worker.tuning.in_force import offline_groups

    chosen = model or (None if config or _names_a_model() else _USUAL_MODEL)
    groups = offline_groups(config, chosen)
    manifest = find_manifest(groups.model)
    console = Console(stderr=as_json, highlight=False, markup=False)
    measured = _given(per_worker, groups) if per_worker else None
    measured = measured or (None if frames else _tuned(manifest, groups, use=bool(chosen)))
    measured = measured or _measure(manifest, groups, frames, seconds, console)
    load = Cameras(
        count=cameras,
        fps=fps,
        frame_bytes=round(frame_kb * 1000) if frame_kb else measured.frame_bytes or USUAL_FRAME,
        answers=answers_a_second(manifest, groups.sampling, fps),
    )
    plan = Plan(
        headroom=headroom,
        retention=retention,
        results_retention=results_retention,
        replication=replication,
        network=gbit * 1e9 / 8,
        max_cameras=groups.limits.max_cameras,
        transactions=_transactions(config, guarantee),
    )
    found = size_of(load, measured.speed, plan)
    limits = limits_of(load, measured.speed, plan, found)
    if as_json:
        typer.echo(msgspec.json.encode(_document(load, measured, plan, found, limits)))
    else:
        console.print(f"{manifest.name}: {measured.source}{_larger(load, measured)}\n")
        for part in _report(load, measured.speed, plan, found, limits):
            console.print(part)
        console.print("\nNext")
        for step in next_steps(next_command("topics apply", config, None, None), plan, found):
            console.print(f"  {step}", soft_wrap=True)


def answers_a_second(manifest: "Manifest", sampling: "SamplingGroup", fps: float) -> float:
    """Return the predictions per second for one camera that sends `fps` frames per second."""
    if manifest.clip is not None:
        slots = sampling.rate or manifest.clip.rate
        return slots if manifest.clip.middle is not None else slots / (sampling.stride or manifest.clip.frames)
    rate = sampling.rate or (manifest.recurrence.rate if manifest.recurrence else None)
    return min(fps, rate or fps)


def _transactions(config: Path | None, guarantee: Guarantee | None) -> float:
    """Return the transactions per second of a worker."""
    from worker.settings import Delivery, read_groups

    delivery = read_groups(config)[0].get("delivery", Delivery())
    exactly_once = (guarantee or delivery.guarantee) == "exactly_once"
    return 1000 / delivery.commit_interval_ms if exactly_once else 0.0


def _names_a_model() -> bool:
    from worker.settings import read_groups

    return "model" in read_groups(None)[0]


def _speed(answers: float, groups: "Groups", memory: int = WORKER_BYTES) -> Speed:
    from worker.models.container import cores

    return Speed(answers=answers, cores=cores(), memory=memory + groups.limits.memory)


def _given(per_worker: float, groups: "Groups") -> Measured:
    return Measured(_speed(per_worker, groups), f"{per_worker:g} predictions/s for each worker, as you say.")


def _tuned(manifest: "Manifest", groups: "Groups", *, use: bool) -> Measured | None:
    """Return what `tune` has measured, if it has and the settings use it."""
    from worker.tuning.profile import key_of, read_profile

    if not use and groups.model.profile == "off":
        return None
    profile = read_profile(key_of(manifest, groups.model.device))
    if profile is None:
        return None
    source = f"{profile.frames_per_second:.0f} predictions/s for each worker, as `vision-worker tune` found here on "
    source += f"{profile.tuned_at[:10]} with {profile.frames}."
    return Measured(_speed(profile.frames_per_second, groups), source)


def _measure(manifest: "Manifest", groups: "Groups", source: Path | None, seconds: float, console: Console) -> Measured:
    """Run the whole worker without Kafka for some seconds."""
    from worker.cli.tune import frames_to_measure
    from worker.models.build import build_model
    from worker.tuning.frames import sample_frames
    from worker.tuning.measure import polls_for, worker_rate
    from worker.tuning.suited import suited

    with console.status(f"Measuring {manifest.name} for {seconds:g} s, without Kafka"):
        in_a_row = manifest.clip is not None or manifest.recurrence is not None
        taken = frames_to_measure(source, _MEASURED_WITH)
        frames = sample_frames(taken, _MEASURED_WITH, in_a_row=in_a_row)
        groups = suited(groups, manifest).groups
        loaded = build_model(manifest, groups.model)
        loaded.warm_up(groups.window.frames_or_usual)
        rate = worker_rate(groups, loaded, polls_for(manifest, frames, endless=True), seconds)
    shown = f"{source}" if source else "photographs of 640x480"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    frame_bytes = sum(len(each.data) for each in frames) // len(frames)
    return Measured(
        _speed(rate, groups, memory),
        f"{rate:.0f} predictions/s for each worker, measured now for {seconds:g} s with {shown}; "
        "`vision-worker tune` finds faster settings.",
        frame_bytes,
    )


def _larger(load: Cameras, measured: Measured) -> str:
    """Say if the frames are so much larger than those measured that the speed is another one."""
    if load.frame_bytes <= 2 * (measured.frame_bytes or USUAL_FRAME):
        return ""
    return " Your frames are larger, and take longer to decode: measure with them, --frames FOLDER."


def _report(load: Cameras, speed: Speed, plan: Plan, found: Size, limits: Sequence[Limit]) -> "list[Table | str]":
    figures = Table(Column("what"), Column("arithmetic"), Column("result"), box=None, pad_edge=False)
    for line in lines_of(load, speed, plan, found):
        figures.add_row(*line)
    first = Table(Column("used", justify="right"), Column("limit"), Column("what to do"), box=None, pad_edge=False)
    for each in tight_limits(limits):
        first.add_row(f"{each.share:.0%}", limit_text(each), each.remedy)
    return [figures, "\nWhat breaks first", first, *(f"\n{each}" for each in remarks(load, speed, plan, found))]


def _document(load: Cameras, measured: Measured, plan: Plan, found: Size, limits: Sequence[Limit]) -> dict[str, Any]:
    return {
        "cameras": asdict(load),
        "worker": {**asdict(measured.speed), "source": measured.source},
        "plan": asdict(plan),
        "size": asdict(found),
        "limits": [{**asdict(each), "share": each.share} for each in limits],
    }
