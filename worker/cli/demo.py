"""`vision-worker demo`: the whole system on a laptop, from cameras to accuracy, with a live table."""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from worker import wire
from worker.adapters.clocks import wall_clock
from worker.cli.options import AsJson
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.settings import BOOTSTRAP_VARIABLE, Topics

if TYPE_CHECKING:
    from worker.local.cameras import Cameras
    from worker.local.scoreboard import Scoreboard
    from worker.local.worker_process import WorkerProcess

MODEL: Final = "mobilenet_v2"
PARTITIONS: Final = 4
LARGEST_FRAME: Final = 2**20
"""Bytes; the frames of the demo's cameras are ten times smaller."""
SETTLE_WITHIN: Final = 60.0
"""Seconds within which the last frames must be processed."""
REFRESH_EVERY: Final = 0.25
POLLS_BEFORE_START: Final = 10
"""Polls of a tenth of a second before the cameras start, until the demo's own consumer is connected."""


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds for which the cameras send.")] = 30.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Frames per second of each camera.")] = 3.0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every prediction with replay and torchvision afterwards.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stream labelled camera frames through a real Kafka and a real worker, and show the results.

    Uses the Kafka of KAFKA_BOOTSTRAP_SERVERS, else that of `vision-worker kafka up`, else starts one for the duration
    of the demo. Exits with 0 only if every frame was predicted and counted.
    """
    from worker.local.summary import Summary, summarise
    from worker.local.worker_process import WorkerProcess

    console = Console(stderr=as_json, highlight=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-worker-demo-")))
        servers, cameras, model = _prepare(stack, console, seconds, rate)
        topics = _create_topics(servers)
        settings = {
            "kafka": {"bootstrap_servers": servers, "group_id": topics.frames},
            "topics": topics.model_dump(),
            # One thread for two cores: on a busy machine, threads that wait for each other are slower than one.
            # No profile, because the answers are compared with torchvision's, bit for bit.
            "model": {"path": str(model), "threads": max(1, (os.cpu_count() or 1) // 2), "profile": "off"},
        }
        worker = WorkerProcess(settings, folder)
        stack.callback(worker.kill)
        with console.status("warming up the worker"):
            worker.wait_until_ready()
        board = _stream_and_watch(servers, topics, cameras, seconds, console, worker)
        with console.status("stopping the worker"):
            status = worker.stop()
        if status != 0:
            raise WorkerError(f"the worker exited with {status}:\n{worker.said()}")
        predictions = [wire.decode_prediction(r.value or b"") for r in _read_all(servers, topics.predictions)]
        last = {record.key: record for record in _read_all(servers, topics.accuracy)}
        summary: Summary = summarise(
            frames_sent=board.total("sent"),
            predictions=predictions,
            tallies=[wire.decode_accuracy(record.value or b"") for record in last.values()],
            dead_letters=len(list(_read_all(servers, topics.dead_letters))),
            latencies=board.latencies(),
            broker=servers,
        )
        if verify:
            from worker.local.agreement import compare

            with console.status("comparing with replay and torchvision"):
                summary = replace(summary, agreement=compare(_frames_sent(servers, topics), predictions, model))
    _print(console, summary, as_json=as_json)
    if faults := summary.faults():
        raise WorkerError("\n".join(faults))


def _prepare(stack: ExitStack, console: Console, seconds: float, rate: float) -> "tuple[str, Cameras, Path]":
    """Prepare the broker, the cameras and the model in parallel."""
    from worker.local.background import running
    from worker.local.broker import LocalKafka
    from worker.local.cameras import render_cameras
    from worker.models.ready import ready_model

    servers = os.environ.get(BOOTSTRAP_VARIABLE)
    if not servers and (background := running()):
        servers = background.bootstrap_servers
    with console.status("starting Kafka, rendering cameras, downloading the model"), ThreadPoolExecutor(2) as pool:
        model = pool.submit(ready_model, MODEL)
        cameras = pool.submit(render_cameras, seconds, rate)
        if not servers:
            servers = stack.enter_context(LocalKafka()).bootstrap_servers
        ready = servers, cameras.result(), model.result()
    console.print(f"Kafka at {servers}, {len(ready[1])} cameras, {MODEL} with its ImageNet weights")
    return ready


def _create_topics(servers: str) -> Topics:
    """Create topics for this run only, so that the demo does not interfere with other users of the broker."""
    from worker.adapters.kafka import KafkaAdmin, Topic

    topics = Topics.with_prefix(f"demo-{uuid.uuid4().hex[:6]}")
    specs = topics.specs(partitions=PARTITIONS, largest_frame=LARGEST_FRAME)
    KafkaAdmin(servers, {}).create(Topic(*each) for each in specs)
    return topics


def _stream_and_watch(
    servers: str, topics: Topics, cameras: "Cameras", seconds: float, console: Console, worker: "WorkerProcess"
) -> "Scoreboard":
    """Let the cameras send, and follow the worker's outputs until every frame is processed."""
    from worker.adapters.kafka import KafkaReader
    from worker.local.cameras import CameraFeed
    from worker.local.scoreboard import Scoreboard

    board, feed = Scoreboard(), CameraFeed(servers, topics.frames, cameras, seconds)
    outputs = [p for t in (topics.predictions, topics.accuracy, topics.dead_letters) for p in _partitions(t)]
    with closing(KafkaReader(servers, {})) as reader, Live(console=console, auto_refresh=False) as live:
        records = reader.follow(outputs, from_beginning=True, timeout=0.1)
        for _ in range(POLLS_BEFORE_START):
            next(records)
        feed.start()
        shown, deadline = 0.0, time.monotonic() + seconds + SETTLE_WITHIN
        for record in records:
            now = time.monotonic()
            if record is not None:
                _record_result(board, record, topics, now)
            board.sent(feed.counts)
            done = not feed.is_alive() and board.settled
            if done or now - shown > REFRESH_EVERY:
                live.update(_table(board, cameras, now), refresh=True)
                shown = now
            if done:
                break
            if feed.failure or not worker.alive:
                raise WorkerError(f"the demo cannot continue: {feed.failure or worker.said()}")
            if now > deadline:
                raise WorkerError(
                    f"{board.total('lag')} frames were not processed {SETTLE_WITHIN:.0f} s after the last was sent; "
                    "this machine may be too slow or too busy: try a lower --rate"
                )
    return board


def _record_result(board: "Scoreboard", record: Record, topics: Topics, now: float) -> None:
    match record.position.partition.topic:
        case topics.predictions:
            message = wire.decode_prediction(record.value or b"")
            board.predicted(message, now=now, arrived_at=wall_clock())
        case topics.accuracy:
            board.counted(wire.decode_accuracy(record.value or b""))
        case _:
            board.rejected(wire.camera_of(record))


def _table(board: "Scoreboard", cameras: "Cameras", now: float) -> Table:
    table = Table(title="the worker's results", title_justify="left")
    table.add_column("camera")
    table.add_column("label", style="dim")
    table.add_column("last prediction", min_width=18)
    for heading in ("confidence", "accuracy", "right / labelled", "frames/s", "lag", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for camera, frames in cameras.items():
        row = board.row(camera)
        best = row.last.classes[0] if row.last else None
        right = bool(row.last and row.last.correct and row.last.correct.top1)
        p50, p99 = row.latency(50), row.latency(99)
        table.add_row(
            camera,
            frames[0].label or "none",
            f"[{'green' if right else 'default'}]{best.name}[/]" if best else "",
            f"{best.probability:.0%}" if best else "",
            f"{row.correct / row.labelled:.1%}" if row.labelled else "n/a",
            f"{row.correct} / {row.labelled}",
            f"{row.frames_per_second(now):.1f}",
            str(row.lag),
            f"{p50:.0f}" if p50 is not None else "",
            f"{p99:.0f}" if p99 is not None else "",
        )
    return table


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
        encoded = wire.parse_frame(record, arrived_at=EventMillis(0), arrived=Monotonic(0.0))
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
