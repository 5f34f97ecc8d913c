"""`vision-worker demo`: the whole system on a laptop, from cameras to accuracy and cuts, with live tables."""

import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.cli.kafka_settings import find_local_brokers
from worker.cli.options import AsJson
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import Record, TopicPartition
from worker.domain.times import Monotonic
from worker.settings import BOOTSTRAP_VARIABLE, Topics

if TYPE_CHECKING:
    from worker.local.cameras import CameraFeed, Cameras
    from worker.local.cuts import VideoRow
    from worker.local.scoreboard import Scoreboard
    from worker.local.worker_process import WorkerProcess

CLASSIFIER: Final = "mobilenet_v2"
CUT_FINDER: Final = "transnetv2"
PARTITIONS: Final = 4
LARGEST_FRAME: Final = 2**20
"""Bytes; the frames of the demo's cameras are ten times smaller."""
ROUND: Final = 10.0
"""Seconds that the video takes."""
IDLE_MS: Final = 1_500
"""Silence after which the last frames of the video get their values: no later frame comes that could complete them."""
GIVE_UP_AFTER: Final = 60.0
"""Seconds without any result, after the last frame was sent. A machine that is too slow needs longer, but it may."""
REFRESH_EVERY: Final = 0.25
POLLS_BEFORE_START: Final = 10
"""Polls of a tenth of a second before the cameras start, until the demo's own consumer is connected."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the demo needs before its workers start; the pictures may still be in preparation."""

    servers: str
    classifier: Path
    cut_finder: Path
    cameras: "Future[Cameras]"
    video: Future[Sequence[CapturedFrame]]


class _Stage(NamedTuple):
    """A worker, and the topics that only this worker reads and writes."""

    topics: Topics
    worker: "WorkerProcess"


def demo(
    *,
    seconds: Annotated[
        float,
        typer.Option(min=1.0, help="Seconds for which the cameras send; the video plays once at least, for 10 s."),
    ] = 30.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Frames per second of each camera with a photograph.")] = 3.0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every result with replay, and predictions with torchvision too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stream camera frames through a real Kafka and two real workers, and show the results.

    One worker classifies the labelled frames of five cameras, and counts how often it is right. The other finds the
    cuts of a video, whose places are known.

    Uses the Kafka of KAFKA_BOOTSTRAP_SERVERS, else that of `vision-worker kafka up`, else starts one for the duration
    of the demo. Exits with 0 only if every frame was predicted and counted, and exactly the known cuts were found.
    """
    from worker.local.cameras import CameraFeed, play_cameras, play_video
    from worker.local.cuts import VideoRow
    from worker.local.summary import Summary, summarise

    console = Console(stderr=as_json, highlight=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-worker-demo-")))
        ready = _prepare(stack, console, seconds, rate)
        servers, run = ready.servers, f"demo-{uuid.uuid4().hex[:6]}"
        pictures = _start(stack, servers, run, folder / "pictures", ready.classifier)
        video = _start(stack, servers, f"{run}-video", folder / "video", ready.cut_finder)
        cameras, frames, rounds = ready.cameras.result(), ready.video.result(), max(1, int(seconds / ROUND))
        feed = CameraFeed(servers, pictures.topics.frames, play_cameras(cameras, seconds))
        player = CameraFeed(servers, video.topics.frames, play_video(frames, rounds))
        console.print(
            f"Kafka at {servers}\n"
            f"{CLASSIFIER} with its ImageNet weights: {len(cameras)} cameras for {seconds:g} s\n"
            f"{CUT_FINDER}: a video of {ROUND:g} s, {rounds} {'time' if rounds == 1 else 'times'}"
        )
        board, row = _stream_and_watch(servers, pictures, video, feed, player, cameras, console)
        with console.status("stopping the workers"):
            for each in (pictures, video):
                if (status := each.worker.stop()) != 0:
                    raise WorkerError(f"a worker exited with {status}:\n{each.worker.said()}")
        predictions = [wire.decode_prediction(r.value or b"") for r in _read_all(servers, pictures.topics.predictions)]
        values = [_value_of(record) for record in _read_all(servers, video.topics.predictions)]
        last = {record.key: record for record in _read_all(servers, pictures.topics.accuracy)}
        found = VideoRow(sent=row.sent)
        for value in values:
            found.valued(value)
        summary: Summary = summarise(
            frames_sent=board.total("sent"),
            predictions=predictions,
            tallies=[wire.decode_accuracy(record.value or b"") for record in last.values()],
            dead_letters=len(list(_read_all(servers, pictures.topics.dead_letters))),
            latencies=board.latencies(),
            video=found,
            broker=servers,
        )
        if verify:
            from worker.local.agreement import compare, compare_values

            with console.status("comparing with replay and torchvision"):
                summary = replace(
                    summary,
                    agreement=compare(_frames_sent(servers, pictures.topics), predictions, ready.classifier),
                    video_agreement=compare_values(_frames_sent(servers, video.topics), values, ready.cut_finder),
                )
    _print(console, summary, as_json=as_json)
    if faults := summary.faults():
        raise WorkerError("\n".join(faults))


def _prepare(stack: ExitStack, console: Console, seconds: float, rate: float) -> _Prepared:
    """Prepare the broker, the models and the cameras in parallel; wait for all but the cameras."""
    from worker.local.broker import LocalKafka
    from worker.local.cameras import render_cameras, render_video
    from worker.models.ready import ready_model

    servers = os.environ.get(BOOTSTRAP_VARIABLE) or find_local_brokers()
    pool = stack.enter_context(ThreadPoolExecutor(2))
    with console.status("starting Kafka, rendering cameras, downloading the models"):
        models = [pool.submit(ready_model, name) for name in (CLASSIFIER, CUT_FINDER)]
        cameras, video = pool.submit(render_cameras, seconds, rate), pool.submit(render_video)
        if not servers:
            servers = stack.enter_context(LocalKafka()).bootstrap_servers
        classifier, cut_finder = (each.result() for each in models)
    return _Prepared(servers, classifier, cut_finder, cameras, video)


def _start(stack: ExitStack, servers: str, prefix: str, folder: Path, model: Path) -> _Stage:
    """Start a worker on topics for this run only, so that other users of the broker are not disturbed."""
    from worker.adapters.kafka import KafkaAdmin, Topic
    from worker.local.worker_process import WorkerProcess

    topics = Topics.with_prefix(prefix)
    specs = topics.specs(partitions=PARTITIONS, largest_frame=LARGEST_FRAME)
    KafkaAdmin(servers, {}).create(Topic(*each) for each in specs)
    settings: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap_servers": servers, "group_id": topics.frames},
        "topics": topics.in_use(),
        # Half of the cores for each of the two workers: on a busy machine, threads that wait for each other are slower
        # than one. No profile, because the answers are compared with torchvision's, bit for bit.
        "model": {"path": str(model), "threads": max(1, (os.cpu_count() or 1) // 2), "profile": "off"},
        "sampling": {"idle_ms": IDLE_MS},
    }
    folder.mkdir()
    worker = WorkerProcess(settings, folder)
    stack.callback(worker.kill)
    return _Stage(topics, worker)


def _stream_and_watch(
    servers: str,
    pictures: _Stage,
    video: _Stage,
    feed: "CameraFeed",
    player: "CameraFeed",
    cameras: "Cameras",
    console: Console,
) -> "tuple[Scoreboard, VideoRow]":
    """Let the cameras send, and follow the workers' outputs until every frame is processed."""
    from worker.adapters.kafka import KafkaReader
    from worker.local.cuts import VIDEO, VideoRow
    from worker.local.scoreboard import Scoreboard

    board, row = Scoreboard(), VideoRow()
    outputs = [
        *(pictures.topics.predictions, pictures.topics.accuracy, pictures.topics.dead_letters),
        *(video.topics.predictions, video.topics.dead_letters),
    ]
    partitions = [partition for topic in outputs for partition in _partitions(topic)]
    with closing(KafkaReader(servers, {})) as reader, ExitStack() as screen:
        records = reader.follow(partitions, from_beginning=True, timeout=0.1)
        with console.status("warming up the workers"):
            pictures.worker.wait_until_ready()
            for _ in range(POLLS_BEFORE_START):
                next(records)
            video.worker.wait_until_ready()
        live = screen.enter_context(Live(console=console, auto_refresh=False))
        feed.start()
        player.start()
        shown, heard = 0.0, time.monotonic()
        for record in records:
            now = time.monotonic()
            if record is not None:
                _record_result(board, record, pictures.topics, now)
                _record_value(row, record, video.topics)
            sending = feed.is_alive() or player.is_alive()
            heard = now if sending or record is not None else heard
            board.sent(feed.counts)
            row.sent = player.counts[VIDEO]
            done = not sending and board.settled and row.lag == 0
            if done or now - shown > REFRESH_EVERY:
                live.update(Group(_table(board, cameras, now), _video_table(row)), refresh=True)
                shown = now
            _check_all_run((feed, player), (pictures.worker, video.worker))
            if done:
                break
            if now > heard + GIVE_UP_AFTER:
                raise WorkerError(
                    f"{board.total('lag')} frames of the cameras and {row.lag} of the video were not processed, and "
                    f"no result came for {GIVE_UP_AFTER:.0f} s"
                )
    return board, row


def _check_all_run(feeds: "Iterable[CameraFeed]", workers: "Iterable[WorkerProcess]") -> None:
    failures = [str(feed.failure) for feed in feeds if feed.failure]
    failures += [worker.said() for worker in workers if not worker.alive]
    if failures:
        raise WorkerError("the demo cannot continue: " + "\n".join(failures))


def _record_result(board: "Scoreboard", record: Record, topics: Topics, now: float) -> None:
    match record.position.partition.topic:
        case topics.predictions:
            message = wire.decode_prediction(record.value or b"")
            board.predicted(message, now=now, arrived_at=wall_clock())
        case topics.accuracy:
            board.counted(wire.decode_accuracy(record.value or b""))
        case topics.dead_letters:
            board.rejected(wire.camera_of(record))


def _record_value(row: "VideoRow", record: Record, topics: Topics) -> None:
    match record.position.partition.topic:
        case topics.predictions:
            row.valued(_value_of(record))
        case topics.dead_letters:
            row.dead_letters += 1


def _value_of(record: Record) -> wire.FrameValueMessage:
    message = wire.decode_message(record.value or b"")
    if not isinstance(message, wire.FrameValueMessage):
        raise WorkerError(f"{CUT_FINDER} should give frames values, not {type(message).__name__}")
    return message


def _table(board: "Scoreboard", cameras: "Cameras", now: float) -> Table:
    table = _narrow_table(f"{CLASSIFIER}: what is in the picture?")
    table.add_column("camera")
    table.add_column("label", style="dim")
    table.add_column("last prediction", width=19, no_wrap=True)
    for heading in ("accuracy", "right", "frames/s", "lag", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for camera, frames in cameras.items():
        row = board.row(camera)
        best = row.last.classes[0] if row.last else None
        right = bool(row.last and row.last.correct and row.last.correct.top1)
        p50, p99 = row.latency(50), row.latency(99)
        table.add_row(
            camera,
            frames[0].label,
            f"[{'green' if right else 'default'}]{best.probability:4.0%} {best.name}[/]" if best else "",
            f"{row.correct / row.labelled:.1%}" if row.labelled else "",
            f"{row.correct}/{row.labelled}",
            f"{row.frames_per_second(now):.1f}",
            str(row.lag),
            f"{p50:.0f}" if p50 is not None else "",
            f"{p99:.0f}" if p99 is not None else "",
        )
    return table


def _video_table(row: "VideoRow") -> Table:
    from worker.local.cuts import VIDEO

    table = _narrow_table(f"{CUT_FINDER}: after which frame does another shot begin?")
    table.add_column("camera", min_width=10)
    for heading in ("frames sent", "values", "lag"):
        table.add_column(heading, justify="right", min_width=6)
    table.add_column("last cut", width=23)
    table.add_column("cuts found / expected", justify="right")
    table.caption = "The frames of two seconds get their values together, when the next second is there."
    table.caption_justify = "left"
    number, value = next(reversed(row.found.items()), (None, 0.0))
    table.add_row(
        VIDEO,
        str(row.sent),
        str(row.values.total()),
        str(row.lag),
        "" if number is None else f"after frame {number}, {value:.2f}",
        f"{len(row.found)} / {row.due}",
    )
    return table


def _narrow_table(title: str) -> Table:
    """Return an empty table with little space between its columns: a terminal may have a hundred."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


def _read_all(servers: str, topic: str) -> Iterator[Record]:
    from worker.adapters.kafka import KafkaReader

    with closing(KafkaReader(servers, {})) as reader:
        yield from reader.read_to_end(_partitions(topic))


def _frames_sent(servers: str, topics: Topics) -> list[CapturedFrame]:
    """Read the sent frames back from Kafka, as a worker reads them."""
    sent = []
    for record in _read_all(servers, topics.frames):
        encoded = wire.parse_frame(record, arrived_at=wall_clock(), arrived=Monotonic(0.0))
        frame, kind = encoded.frame, encoded.content_type
        sent.append(CapturedFrame(frame.camera, encoded.data, frame.captured_at, kind, frame.frame_id, frame.label))
    return sent


def _print(console: Console, summary: object, *, as_json: bool) -> None:
    if as_json:
        console.print()
        typer.echo(msgspec.json.encode(summary))
        return
    table = Table(show_header=False, title="summary", title_justify="left")
    for name, value in msgspec.to_builtins(summary).items():
        table.add_row(name, str(value))
    console.print(table)
