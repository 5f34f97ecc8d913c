"""`vision-worker produce`: send pictures, videos and cameras to Kafka at their original speed."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from worker.adapters.clocks import wall_clock
from worker.cli.options import AsJson, BootstrapServers
from worker.cli.progress import progress_bar
from worker.domain.frames import CapturedFrame
from worker.local.pacing import PICTURES_PER_SECOND, Reader, interleave, timeline
from worker.settings import Topics


def produce(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="A folder of pictures, a video file, or a device number.")
    ],
    *,
    bootstrap_servers: BootstrapServers,
    topic: Annotated[str, typer.Option(help="The topic to send to.")] = Topics().frames,
    camera: Annotated[
        list[str] | None, typer.Option(help="Camera id, once for each source; default: the source's name.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Frames per second of each source; default: the original speed, or 10 for pictures."
        ),
    ] = None,
    loop: Annotated[str, typer.Option(help="How often to send each source: a number, or 'forever'.")] = "1",
    labels: Annotated[
        Path | None, typer.Option(help="CSV with the columns file,label for the only folder; see the README.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The label of frames that have none.")] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality of a video's frames.")] = 90,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after N frames.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after N seconds.")] = None,
    keep_times: Annotated[
        bool, typer.Option("--keep-times", help="Send recorded capture times instead of the time of sending.")
    ] = False,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-X", metavar="NAME=VALUE", help="A librdkafka option.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send pictures and videos as camera frames, from several sources in parallel, each at its own speed.

    Ctrl-C stops it. Fails if the broker did not confirm every frame.
    """
    from worker.adapters.kafka import KafkaSink
    from worker.wire import render_frame

    cameras: Sequence[str | None] = camera or [None] * len(sources)
    if len(cameras) != len(sources):
        raise typer.BadParameter(
            "give it once for each SOURCE, in the same order, or not at all", param_hint="--camera"
        )
    if labels is not None and sum(Path(source).is_dir() for source in sources) != 1:
        raise typer.BadParameter("it describes one folder: exactly one source must be a folder", param_hint="--labels")
    if keep_times and loop != "1":
        raise typer.BadParameter("a repetition would go back in time: leave out --loop", param_hint="--keep-times")
    readers = [_reader(source, name, rate, labels, quality) for source, name in zip(sources, cameras, strict=True)]
    schedule = interleave([timeline(read, rate, rounds=_rounds(loop)) for read in readers], seconds)
    sink, sent = KafkaSink(bootstrap_servers, dict(map(_option, option or []))), Sent(topic)
    started = time.monotonic()
    try:
        with progress_bar() as progress:
            task = progress.add_task("", total=count)
            try:
                for due, frame in islice(schedule, count):
                    time.sleep(max(0.0, started + due - time.monotonic()))
                    captured_at = frame.captured_at if keep_times else wall_clock()
                    sink.send(render_frame(topic, replace(frame, captured_at=captured_at, label=frame.label or label)))
                    sent.add(frame, time.monotonic() - started)
                    progress.update(task, completed=sent.frames, description=sent.so_far)
            except KeyboardInterrupt:
                pass  # the usual way to stop an endless stream
            finally:
                sink.flush()
                sent.confirmed = True
    finally:
        sink.close()
        if sent.frames:
            typer.echo(msgspec.json.encode(sent.as_document()) if as_json else sent.summary)


@dataclass(slots=True)
class Sent:
    """The frames sent so far.

    Attributes:
        seconds: time from the start to the last frame.
        cameras: number of frames by camera.
        confirmed: whether the broker has confirmed all frames.
    """

    topic: str
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cameras: dict[str, int] = field(default_factory=dict)
    confirmed: bool = False

    def add(self, frame: CapturedFrame, seconds: float) -> None:
        """Count a frame that was sent `seconds` after the start."""
        self.frames += 1
        self.bytes += len(frame.data)
        self.cameras[frame.camera] = self.cameras.get(frame.camera, 0) + 1
        self.seconds = seconds

    @property
    def frames_per_second(self) -> float | None:
        """The rate between the first frame and the last; None with fewer than two frames."""
        return (self.frames - 1) / self.seconds if self.frames > 1 and self.seconds else None

    def as_document(self) -> dict[str, Any]:
        """Return the summary for programs."""
        return asdict(self) | {"frames_per_second": self.frames_per_second}

    @property
    def so_far(self) -> str:
        """A text with frames, size and rate."""
        pace = f"{self.frames_per_second:.1f} frames/s" if self.frames_per_second else "- frames/s"
        return f"{self.frames:,} frames, {self.bytes / 1e6:,.1f} MB, {pace}"

    @property
    def summary(self) -> str:
        """A one-line summary for people."""
        cameras = f"{len(self.cameras)} camera{'s' * (len(self.cameras) != 1)}"
        state = "all confirmed" if self.confirmed else "NOT all confirmed"
        return f"{self.so_far} from {cameras} to topic {self.topic!r}: {state}"


def _reader(source: str, camera: str | None, rate: float | None, labels: Path | None, quality: int) -> Reader:
    from worker.media.folder import read_folder
    from worker.media.video import read_video

    path = Path(source)
    if path.is_dir():
        pictures = partial(read_folder, path, rate=rate or PICTURES_PER_SECOND, labels=labels, camera=camera)
        return lambda: pictures(start=wall_clock())
    if path.is_file():
        return lambda: read_video(path, camera=camera or path.stem, start=wall_clock(), rate=rate, quality=quality)
    if source.isdecimal():
        name = camera or f"device-{source}"
        return lambda: read_video(int(source), camera=name, start=wall_clock(), rate=rate, quality=quality)
    raise typer.BadParameter(f"{source!r} is neither a folder, nor a file, nor a device number", param_hint="SOURCE")


def _rounds(loop: str) -> int | None:
    if loop == "forever":
        return None
    if not loop.isdecimal() or int(loop) == 0:
        raise typer.BadParameter(f"{loop!r} is neither a number above 0 nor 'forever'", param_hint="--loop")
    return int(loop)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="-X")
    return name, value
