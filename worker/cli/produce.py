"""`vision-worker produce`: send pictures, videos and live cameras to Kafka."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from worker.cli.kafka_settings import kafka_and_topics
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile
from worker.cli.progress import progress_bar
from worker.cli.sources import Options, check_options, read_sources
from worker.domain.errors import SourceLost
from worker.domain.frames import CapturedFrame
from worker.local.frame_ids import named_once
from worker.local.pacing import interleave, timeline
from worker.settings import Kafka

if TYPE_CHECKING:
    from worker.adapters.kafka import KafkaSink

UNCONFIRMED_PER_SOURCE = 16
"""Frames of each source, on average, that may wait for the broker while a source is live: those waiting grow old."""

ANSWER_WITHIN = 10.0
"""Seconds within which a broker must answer at the start."""


def produce(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A folder of pictures, a video file, a device number, or a camera's address: rtsp(s)://, http(s)://.",
        ),
    ],
    *,
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    topic: Annotated[str | None, typer.Option(help="The topic to send to; default: topics.frames.")] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="Camera id, once for each source; default: the source's name, or the address's host and path."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Frames per second of each source, of a live one at most; default: the original speed, or 10 for "
            "pictures.",
        ),
    ] = None,
    loop: Annotated[str, typer.Option(help="How often to send each source: a number, or 'forever'.")] = "1",
    labels: Annotated[
        Path | None, typer.Option(help="CSV with the columns file,label for the only folder; see docs/cameras.md.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The label of frames that have none.")] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality of frames of videos and cameras.")] = 90,
    scale: Annotated[
        float,
        typer.Option(metavar="FACTOR", help="Reduce frames of videos and cameras: 0.5 halves width and height."),
    ] = 1.0,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after N frames.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after N seconds.")] = None,
    realtime: Annotated[
        bool,
        typer.Option(
            "--realtime",
            help="Play video files as if a camera filmed them now: drop and count frames that would be late. Without "
            "it, every frame is sent at the file's speed, later if need be.",
        ),
    ] = False,
    keep_times: Annotated[
        bool,
        typer.Option(
            "--keep-times",
            help="Send recorded capture times instead of the time of sending; live frames have that of arrival.",
        ),
    ] = False,
    give_up_after: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="Give up a live source after that long without a frame; default: try again for ever.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send pictures, videos and cameras as camera frames, all sources in parallel, each at its own speed.

    Devices and addresses are live: the newest frames are sent, and those that the broker is too slow for are dropped
    and counted. A live source that is off or lost is opened again, after 0.5 to 30 seconds. User, password and query of
    an address are never shown.

    Ctrl-C stops it once what was sent is confirmed. Fails if the broker did not confirm every frame, or if a live
    source was given up.
    """
    from worker.local.live import LiveFeeds, frames_in_time
    from worker.local.opening import open_sources
    from worker.media.jpeg import JpegEncoder
    from worker.media.live import libraries_for_live
    from worker.wire import render_frame

    found = read_sources(sources, camera or [])
    check_options(found, Options(loop, labels, keep_times, realtime, scale, give_up_after))
    rounds, encode = _rounds(loop), JpegEncoder(quality, scale)
    kafka, topics = kafka_and_topics(config, bootstrap_servers, option)
    opened = open_sources(
        found, encode, rate=rate, rounds=rounds, labels=labels, realtime=realtime, give_up_after=give_up_after
    )
    feeds = LiveFeeds(opened.live, encode)
    schedule = interleave([timeline(read, rate, rounds=rounds) for read in opened.scheduled], seconds)
    sink, sent = _sink(kafka, live_sources=len(found) if opened.live else 0), Sent(topic or topics.frames)
    try:
        sink.await_topic(sent.topic, ANSWER_WITHIN)
        typer.echo(f"sending to topic {sent.topic!r} at {kafka.bootstrap_servers}; Ctrl-C stops it", err=True)
        started = time.monotonic()
        with libraries_for_live(), feeds, progress_bar() as progress:
            task = progress.add_task("", total=count)
            frames = frames_in_time(schedule, feeds, seconds=seconds, keep_times=keep_times)
            try:
                for frame in islice(named_once(frames), count):
                    sink.send(render_frame(sent.topic, replace(frame, label=frame.label or label)))
                    sent.add(frame, time.monotonic() - started)
                    sent.dropped, sent.reconnects = feeds.dropped, feeds.reconnects
                    progress.update(task, completed=sent.frames, description=sent.so_far)
            finally:
                sent.dropped, sent.reconnects = feeds.dropped, feeds.reconnects
                sink.flush()
                sent.confirmed = True
    finally:
        sink.close()
        if sent.frames or opened.live:
            typer.echo(msgspec.json.encode(sent.as_document()) if as_json else sent.summary)
    if feeds.failures:
        raise SourceLost("\n".join(f"given up: {failure}" for failure in feeds.failures))


@dataclass(slots=True)
class Sent:
    """The frames sent so far.

    Attributes:
        seconds: time from the start to the last frame.
        cameras: number of frames by camera.
        confirmed: whether the broker has confirmed all frames.
        dropped: number of frames by camera that were not sent, because newer ones were there; live sources only.
        reconnects: how often each camera was lost and came back; live sources only.
    """

    topic: str
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cameras: dict[str, int] = field(default_factory=dict)
    confirmed: bool = False
    dropped: Mapping[str, int] = field(default_factory=dict)
    reconnects: Mapping[str, int] = field(default_factory=dict)

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
        """A text with frames, size, rate, and what live sources have lost."""
        pace = f"{self.frames_per_second:.1f} frames/s" if self.frames_per_second else "- frames/s"
        dropped = f", {sum(self.dropped.values()):,} dropped" * any(self.dropped.values())
        return f"{self.frames:,} frames, {self.bytes / 1e6:,.1f} MB, {pace}{dropped}"

    @property
    def summary(self) -> str:
        """A summary for people: one line, and one more for each camera that dropped frames or came back."""
        cameras = f"{len(self.cameras)} camera{'s' * (len(self.cameras) != 1)}"
        state = "all confirmed" if self.confirmed else "NOT all confirmed"
        live = [
            f"{camera}: frames dropped: {dropped:,}, reconnects: {self.reconnects[camera]:,}"
            for camera, dropped in self.dropped.items()
            if dropped or self.reconnects[camera]
        ]
        return "\n".join([f"{self.so_far} from {cameras} to topic {self.topic!r}: {state}", *live])


def _sink(kafka: Kafka, *, live_sources: int) -> "KafkaSink":
    """Return a producer; for live sources, with a short queue: while frames wait for the broker, newer ones come."""
    from worker.adapters.kafka import KafkaSink

    queue = {"queue.buffering.max.messages": UNCONFIRMED_PER_SOURCE * live_sources} if live_sources else {}
    return KafkaSink(kafka.bootstrap_servers, queue | kafka.options | kafka.producer)


def _rounds(loop: str) -> int | None:
    if loop == "forever":
        return None
    if not loop.isdecimal() or int(loop) == 0:
        raise typer.BadParameter(f"{loop!r} is neither a number above 0 nor 'forever'", param_hint="--loop")
    return int(loop)
