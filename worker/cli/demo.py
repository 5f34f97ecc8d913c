"""`vision-worker demo`: the main job on a laptop, from cameras to accuracy, with a live table."""

import os
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import typer
import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from worker import wire
from worker.cli.options import AsJson
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings import BOOTSTRAP_VARIABLE, Topics

if TYPE_CHECKING:
    from worker.local.cameras import Cameras
    from worker.local.guarded import GuardedProcess
    from worker.local.scoreboard import Scoreboard

MODEL = "mobilenet_v2"
PARTITIONS = 4
CAMERA_RATE = 3.0
"""Frames a second of each simulated camera; together with the video they leave two busy cores some room."""
START_WITHIN = 120.0
SETTLE_WITHIN = 60.0


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long the cameras send.")] = 30.0,
    as_json: AsJson = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Afterwards, hold every prediction against replay and torchvision.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Frames a second of each photograph's camera.")] = CAMERA_RATE,
) -> None:
    """Stream labelled camera frames through a real Kafka and a real worker, and show what comes out.

    Uses the Kafka of KAFKA_BOOTSTRAP_SERVERS if that is set, else starts one for the time of the demo. Exits with 0
    only if every frame came out as a prediction and was counted.
    """
    from worker.local.background import running

    console = Console(stderr=as_json, highlight=False)
    given = os.environ.get(BOOTSTRAP_VARIABLE)
    background = None if given else running()
    servers = given or (background.bootstrap_servers if background else None)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-worker-demo-")))
        servers, cameras, model = _prepare(stack, console, servers, seconds, rate)
        topics = _create_topics(servers)
        worker = _start_worker(stack, console, servers, topics, model, scratch)
        board = _stream_and_watch(servers, topics, cameras, seconds, console, worker, scratch)
        with console.status("stopping the worker"):
            status = worker.stop()
        summary, predictions = _summary(servers, topics, board)
        if status != 0:
            raise WorkerError(f"the worker ended with {status}:\n{_tail(scratch)}")
        if verify:
            with console.status("comparing with replay and torchvision"):
                summary["agreement"] = _compare(servers, topics, predictions, model)
    if as_json:
        typer.echo(msgspec.json.encode(summary))
    else:
        _print_summary(console, summary)
    _judge(summary)


def _prepare(
    stack: ExitStack, console: Console, servers: str | None, seconds: float, rate: float
) -> "tuple[str, Cameras, Path]":
    """Get the broker, the cameras and the model ready side by side."""
    from worker.local.broker import LocalKafka
    from worker.local.cameras import render_cameras
    from worker.local.models import ready_model

    with console.status("starting Kafka, rendering cameras, fetching the model"), ThreadPoolExecutor(3) as pool:
        kafka = None if servers else LocalKafka()
        if kafka:
            stack.callback(kafka.stop)
        started = pool.submit(kafka.start) if kafka else None
        model = pool.submit(ready_model, MODEL)
        cameras = render_cameras(seconds, rate)
        if started:
            started.result()
        servers = servers or (kafka.bootstrap_servers if kafka else "")
        console.print(f"Kafka at {servers}, {len(cameras)} cameras, model {MODEL} with its ImageNet weights")
        return servers, cameras, model.result()


def _create_topics(servers: str) -> Topics:
    from worker.adapters.kafka import KafkaAdmin, Topic

    run = uuid.uuid4().hex[:6]
    topics = Topics(
        frames=f"demo-{run}-frames",
        predictions=f"demo-{run}-predictions",
        accuracy=f"demo-{run}-accuracy",
        dead_letters=f"demo-{run}-dead-letters",
    )
    wanted = [
        Topic(topics.frames, PARTITIONS),
        Topic(topics.predictions, PARTITIONS),
        Topic(topics.accuracy, PARTITIONS, {"cleanup.policy": "compact"}),
        Topic(topics.dead_letters, 1, {"max.message.bytes": str(2 * 2**20)}),
    ]
    KafkaAdmin(servers, {}).create(wanted)
    return topics


def _start_worker(
    stack: ExitStack, console: Console, servers: str, topics: Topics, model: Path, scratch: Path
) -> "GuardedProcess":
    from worker.local.guarded import GuardedProcess

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = scratch / "worker.yaml"
    content = {
        "kafka": {"bootstrap_servers": servers, "group_id": topics.frames},
        "topics": topics.model_dump(),
        # One thread a worker: two that wait for each other on a busy core are slower than one.
        "model": {"path": str(model), "threads": max(1, (os.cpu_count() or 1) // 2)},
        "ops": {"port": port},
    }
    config.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "worker", "run", "--config", str(config)]
    worker = GuardedProcess([command], log=scratch / "worker.log", environment={BOOTSTRAP_VARIABLE: servers})
    stack.callback(worker.kill)
    deadline = time.monotonic() + START_WITHIN
    with console.status("warming the worker up"):
        while not _ready(port):
            if not worker.alive or time.monotonic() > deadline:
                raise WorkerError(f"the worker did not get ready:\n{_tail(scratch)}")
            time.sleep(0.1)
    return worker


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _tail(scratch: Path, lines: int = 20) -> str:
    log = scratch / "worker.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "it said nothing"


def _stream_and_watch(
    servers: str,
    topics: Topics,
    cameras: "Cameras",
    seconds: float,
    console: Console,
    worker: "GuardedProcess",
    scratch: Path,
) -> "Scoreboard":
    from worker.local.cameras import CameraFeed
    from worker.local.scoreboard import Scoreboard

    board, sender = Scoreboard(), CameraFeed(servers, topics.frames, cameras, seconds)
    sender.start()
    give_up = time.monotonic() + seconds + SETTLE_WITHIN
    with _results(servers, topics) as records, Live(console=console, auto_refresh=False) as live:
        shown = 0.0
        for record in records:
            now = time.monotonic()
            if record is not None:
                _take_in(board, record, topics, now)
            board.sent(sender.counts)
            if now - shown > 0.25:
                live.update(_table(board, cameras, now), refresh=True)
                shown = now
            if sender.failure:
                raise sender.failure
            if not worker.alive:
                raise WorkerError(f"the worker stopped:\n{_tail(scratch)}")
            if now > give_up:
                raise WorkerError(
                    f"{board.total('lag')} frames had no outcome {SETTLE_WITHIN:.0f} s after the last was sent: "
                    "is this machine too slow or too busy for so many? Try a lower --rate"
                )
            if not sender.is_alive() and board.settled:
                live.update(_table(board, cameras, now), refresh=True)
                break
    sender.join()
    return board


@contextmanager
def _results(servers: str, topics: Topics) -> Iterator[Iterator[Record | None]]:
    from worker.adapters.kafka import KafkaReader

    reader = KafkaReader(servers, {"fetch.wait.max.ms": 10})
    partitions = [TopicPartition(topics.dead_letters, 0)]
    partitions += [TopicPartition(t, p) for t in (topics.predictions, topics.accuracy) for p in range(PARTITIONS)]
    try:
        yield reader.follow(partitions, from_beginning=True, timeout=0.1)
    finally:
        reader.close()


def _take_in(board: "Scoreboard", record: Record, topics: Topics, now: float) -> None:
    match record.position.partition.topic:
        case topics.predictions:
            message = wire.decode_prediction(record.value or b"")
            board.predicted(message, now=now, arrived_at=time.time_ns() // 1_000_000)
        case topics.accuracy:
            board.counted(wire.decode_accuracy(record.value or b""))
        case _:
            board.rejected(wire.camera_of(record))


def _table(board: "Scoreboard", cameras: "Cameras", now: float) -> Table:
    table = Table(title="what the worker publishes", title_justify="left", expand=False)
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
            f"{row.frames_a_second(now):.1f}",
            str(row.lag),
            f"{p50:.0f}" if p50 is not None else "",
            f"{p99:.0f}" if p99 is not None else "",
        )
    return table


def _summary(servers: str, topics: Topics, board: "Scoreboard") -> tuple[dict[str, Any], list[wire.PredictionMessage]]:
    """Count once more from the topics themselves, whole, now that the worker has stopped."""
    predictions = [wire.decode_prediction(r.value or b"") for r in _read_all(servers, topics.predictions, PARTITIONS)]
    last = {record.key: record for record in _read_all(servers, topics.accuracy, PARTITIONS)}
    tallies = [wire.decode_accuracy(record.value or b"") for record in last.values()]
    labelled, correct = sum(t.labelled for t in tallies), sum(t.correct.top1 for t in tallies)
    latencies = board.latencies()
    span = max(p.published_at_ms for p in predictions) - min(p.captured_at_ms for p in predictions)
    summary = {
        "frames_sent": board.total("sent"),
        "predictions": len(predictions),
        "dead_letters": len(list(_read_all(servers, topics.dead_letters, 1))),
        "seen": sum(tally.seen for tally in tallies),
        "labelled": labelled,
        "correct": correct,
        "accuracy": correct / labelled if labelled else None,
        "accuracy_by_camera": {t.camera: t.accuracy.top1 for t in sorted(tallies, key=lambda t: t.camera)},
        "frames_per_second": round(len(predictions) / span * 1000, 2),
        "latency_ms": {f"p{p}": round(float(np.percentile(latencies, p)), 1) for p in (50, 99)},
        "broker": servers,
    }
    return summary, predictions


def _read_all(servers: str, topic: str, partitions: int) -> Iterator[Record]:
    from worker.adapters.kafka import KafkaReader

    reader = KafkaReader(servers, {})
    try:
        yield from reader.read_to_end([TopicPartition(topic, number) for number in range(partitions)])
    finally:
        reader.close()


def _compare(
    servers: str, topics: Topics, predictions: Sequence[wire.PredictionMessage], model: Path
) -> dict[str, Any]:
    from worker.domain.times import Monotonic
    from worker.local.agreement import compare

    frames = [
        wire.parse_frame(record, arrived_at=EventMillis(0), arrived=Monotonic(0.0))
        for record in _read_all(servers, topics.frames, PARTITIONS)
    ]
    sent = [CapturedFrame(f.camera, f.data, f.captured_at, f.content_type, f.frame_id, f.label) for f in frames]
    return asdict(compare(sent, predictions, model))


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    table = Table(show_header=False, title="summary", title_justify="left")
    for name, value in summary.items():
        table.add_row(name, str(value))
    console.print(table)


def _judge(summary: dict[str, Any]) -> None:
    """Fail unless every frame came out and was counted."""
    faults = []
    if not summary["predictions"] or summary["predictions"] + summary["dead_letters"] != summary["frames_sent"]:
        faults.append(f"{summary['frames_sent']} frames went in and {summary['predictions']} predictions came out")
    if summary["seen"] != summary["predictions"] or not summary["labelled"]:
        faults.append(f"accuracy counts {summary['seen']} of {summary['predictions']} predictions")
    agreement = summary.get("agreement")
    if agreement and not (agreement["frames"] == agreement["replay_same"] == agreement["torchvision_same"]):
        faults.append(f"predictions differ from replay or torchvision: {agreement}")
    if agreement and agreement["replay_correct"] != summary["correct"]:
        faults.append(f"replay counts {agreement['replay_correct']} right, the accuracy topic {summary['correct']}")
    if faults:
        raise WorkerError("\n".join(faults))
