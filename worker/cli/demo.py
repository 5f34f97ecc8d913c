"""`vision-worker demo`: the whole system on a laptop, from cameras to accuracy and cuts, with live tables."""

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from worker.cli.next_commands import next_commands, program_name
from worker.cli.options import AsJson
from worker.domain.errors import WorkerError
from worker.settings import BOOTSTRAP_VARIABLE

if TYPE_CHECKING:
    from worker.domain.frames import CapturedFrame
    from worker.domain.records import Record
    from worker.local.cameras import Cameras
    from worker.local.stage import Stage
    from worker.local.steps import Steps
    from worker.local.summary import Summary
    from worker.local.watching import Watch

CLASSIFIER: Final = "mobilenet_v2"
CUT_FINDER: Final = "transnetv2"
ROUND: Final = 10.0
"""Seconds that the video takes."""
HEIGHT: Final = 50
"""Lines of the picture's terminal: more than the screen has."""
POLLS_BEFORE_START: Final = 10
"""Polls of a tenth of a second before the cameras start, until the demo's own consumer is connected."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that a run needs; the workers are ready for frames.

    Attributes:
        kafka_stays: whether its Kafka goes on when the demo ends.
    """

    classifier: Path
    cut_finder: Path
    cameras: "Cameras"
    film: "Sequence[CapturedFrame]"
    pictures: "Stage"
    video: "Stage"
    records: "Iterator[Record | None]"
    kafka_stays: bool


def demo(
    *,
    seconds: Annotated[
        float,
        typer.Option(min=1.0, help="Seconds for which the cameras send; the video plays once at least, for 10 s."),
    ] = 30.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Frames per second of each camera with a photograph.")] = 3.0,
    kill_a_worker: Annotated[
        bool,
        typer.Option(
            "--kill-a-worker",
            help="Two workers share the cameras. One is killed; see that no frame is lost or counted twice.",
        ),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every result with replay, and predictions with torchvision too.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Write the newest frames and the last screen as a picture.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stream camera frames through a real Kafka and real workers, and show the results.

    One worker classifies the labelled frames of five cameras, and counts how often it is right. Another finds the
    cuts of a video, whose places are known.

    Uses the Kafka of KAFKA_BOOTSTRAP_SERVERS, else that of `vision-worker kafka up`, else starts one for the duration
    of the demo. Exits with 0 only if every frame was predicted and counted, and exactly the known cuts were found.
    """
    if picture and not picture.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {picture.parent}; create it first", param_hint="--picture")
    console, classifiers = Console(stderr=as_json, highlight=False), 2 if kill_a_worker else 1
    console.print(f"Five cameras and a video go through Kafka to {classifiers + 1} workers, for {seconds:g} s.")
    from worker.local.cameras import CameraFeed, play_cameras, play_video
    from worker.local.display import shown_on
    from worker.local.picture import WIDTH, shots, write_picture
    from worker.local.screen import Scene, screen
    from worker.local.steps import Steps
    from worker.local.watching import Watch

    # A worker that takes over needs the processor for itself, so the video plays only once.
    rounds = 1 if kill_a_worker else max(1, int(seconds / ROUND))
    with ExitStack() as stack:
        ready = _prepare(stack, console, seconds, rate, classifiers=classifiers)
        servers = ready.pictures.servers
        labels = {camera: frames[0].label or "" for camera, frames in ready.cameras.items()}
        watch = Watch(
            ready.pictures,
            ready.video,
            CameraFeed(servers, ready.pictures.topics.frames, play_cameras(ready.cameras, seconds)),
            CameraFeed(servers, ready.video.topics.frames, play_video(ready.film, rounds)),
            Scene(labels, CLASSIFIER, CUT_FINDER),
            planned=max(seconds, rounds * ROUND),
            kill_after=seconds / 3 if kill_a_worker else None,
        )
        console.print()
        with shown_on(console) as show:
            watch.follow(ready.records, show)
        last = watch.moment(time.monotonic())
        with Steps(console).shown() as steps:
            with steps.step("stop the workers"):
                ready.pictures.stop()
                ready.video.stop()
            summary = _summary(watch, ready, steps, verify=verify)
    told = _conclusion(summary)
    if picture:
        lines = [*screen(watch.scene, last, width=WIDTH, height=HEIGHT), Text(), *told]
        title = "vision-worker demo --kill-a-worker" if kill_a_worker else "vision-worker demo"
        write_picture(picture, lines, shots(ready.cameras, watch.scene.board), title=title)
    console.print(Text(), *told, sep="\n")
    if as_json:
        typer.echo(msgspec.json.encode(summary))
    if faults := summary.faults():
        raise WorkerError("\n".join([*faults, "start the demo again, and report it if this happens again"]))
    _print_next(console, summary, ready)


def _prepare(stack: ExitStack, console: Console, seconds: float, rate: float, *, classifiers: int) -> _Ready:
    """Start the broker and the workers, and render the pictures meanwhile."""
    from worker.adapters.kafka import KafkaReader
    from worker.local.cameras import render_cameras, render_video
    from worker.local.jars import jar_folder
    from worker.local.stage import open_stage
    from worker.local.steps import Steps, growth_of
    from worker.models.ready import ready_model
    from worker.models.store import cache_folder

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vision-worker-demo-")))
    pool, run = stack.enter_context(ThreadPoolExecutor(4)), f"demo-{uuid.uuid4().hex[:6]}"
    with Steps(console, growth_of(cache_folder() / "packages", jar_folder())).shown() as steps:

        def model(name: str) -> Path:
            with steps.step(f"model {name}"):
                return ready_model(name)

        def cameras() -> "Cameras":
            with steps.step("pictures of five cameras"):
                return render_cameras(seconds, rate)

        def film() -> "Sequence[CapturedFrame]":
            with steps.step(f"a video of {ROUND:.0f} s"):
                return render_video()

        models = [pool.submit(model, name) for name in (CLASSIFIER, CUT_FINDER)]
        scenes: tuple[Future[Cameras], Future[Sequence[CapturedFrame]]] = pool.submit(cameras), pool.submit(film)
        servers, stays = _servers(stack, steps)
        classifier, cut_finder = (each.result() for each in models)
        many = classifiers + 1
        with steps.step(f"{many} workers: load models, join groups") as step:
            pictures = open_stage(
                stack, servers, run, folder / "pictures", classifier, workers=classifiers, of_all=many
            )
            video = open_stage(stack, servers, f"{run}-video", folder / "video", cut_finder, workers=1, of_all=many)
            reader = stack.enter_context(closing(KafkaReader(servers, {})))
            records = reader.follow([*pictures.outputs, *video.outputs], from_beginning=True, timeout=0.1)
            for ready in pictures.wait_until_ready():
                step.note = f"{ready} ready"
            for _ in range(POLLS_BEFORE_START):
                next(records)
            for ready in video.wait_until_ready():
                step.note = f"{classifiers + ready} ready"
        return _Ready(classifier, cut_finder, scenes[0].result(), scenes[1].result(), pictures, video, records, stays)


def _servers(stack: ExitStack, steps: "Steps") -> tuple[str, bool]:
    """Return the address of the Kafka to use, and whether it goes on after the demo; start one if there is none."""
    from worker.adapters.kafka import BrokerUnreachable, KafkaAdmin
    from worker.local.background import running
    from worker.local.broker import LocalKafka
    from worker.local.jars import KAFKA_VERSION

    if servers := os.environ.get(BOOTSTRAP_VARIABLE):
        with steps.step(f"Kafka of {BOOTSTRAP_VARIABLE}, at {servers}"):
            try:
                KafkaAdmin(servers, {}).topics(["frames"])
            except BrokerUnreachable as error:
                advice = f"unset {BOOTSTRAP_VARIABLE}, and the demo starts a Kafka of its own"
                raise BrokerUnreachable(f"{error}; or {advice}") from error
            return servers, True
    if background := running():
        with steps.step(f"Kafka of `kafka up`, at {background.bootstrap_servers}"):
            return background.bootstrap_servers, True
    with steps.step(f"Apache Kafka {KAFKA_VERSION}, for this demo") as step:
        servers = stack.enter_context(LocalKafka()).bootstrap_servers
        step.note = f"at {servers}"
        return servers, False


def _summary(watch: "Watch", ready: _Ready, steps: "Steps", *, verify: bool) -> "Summary":
    """Read all results again from their topics, and summarise them."""
    from worker import wire
    from worker.local.cuts import VideoRow
    from worker.local.summary import summarise
    from worker.local.watching import letter_of, value_of

    pictures, video = ready.pictures, ready.video
    predictions = [wire.decode_prediction(r.value or b"") for r in pictures.read(pictures.topics.predictions)]
    values = [value_of(record) for record in video.read(video.topics.predictions)]
    last = {record.key: record for record in pictures.read(pictures.topics.accuracy)}
    found = VideoRow(sent=watch.scene.video.sent)
    for value in values:
        found.valued(value)
    summary = summarise(
        sent=dict(watch.feed.counts),
        predictions=predictions,
        tallies=[wire.decode_accuracy(record.value or b"") for record in last.values()],
        dead_letters=map(letter_of, pictures.read(pictures.topics.dead_letters)),
        latencies=watch.scene.board.latencies(),
        video=found,
        broker=pictures.servers,
        workers_killed=len(pictures.killed),
    )
    if not verify:
        return summary
    from worker.local.agreement import compare, compare_values

    with steps.step("compare with replay and torchvision"):
        return replace(
            summary,
            agreement=compare(pictures.frames_sent(), predictions, ready.classifier),
            video_agreement=compare_values(video.frames_sent(), values, ready.cut_finder),
        )


def _conclusion(summary: "Summary") -> list[Text]:
    from worker.local.conclusion import conclusion

    return [Text(sentence) for sentence in conclusion(summary)]


def _print_next(console: Console, summary: "Summary", ready: _Ready) -> None:
    """Print commands to go on with; none is wrapped, so that each can be copied."""
    program = program_name(sys.argv, Path.cwd())
    stays = ready.pictures.topics.predictions if ready.kafka_stays else None
    console.print()
    for why, command in next_commands(program, killed=bool(summary.workers_killed), stays=stays):
        console.print(why)
        console.print(Text(f"  {command}", "bold cyan"), soft_wrap=True)
