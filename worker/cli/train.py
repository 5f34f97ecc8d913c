"""`vision-worker train`: train a network on labelled data, and write it as a model's folder."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console

from worker.cli.kafka_settings import kafka_and_topics
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile
from worker.cli.progress import progress_bar
from worker.cli.stretch import From, To, Topic, stretch_of, summary_of
from worker.domain.networks import CNN_RNN, Cell, CnnRnnShape
from worker.training.options import (
    Amp,
    Augment,
    Balance,
    Layers,
    OptimizerName,
    Options,
    ScheduleName,
    Trainable,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from worker.training.loop import Step
    from worker.training.train import Outcome

_USUAL = Options(task="classify", model="")
_PARTS = CnnRnnShape("mobilenet_v2")
_SIZE = re.compile(r"(\d+)(?:x(\d+))?")


def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder with a folder of pictures or videos for each class; or with a frames.csv; or such a CSV. "
            "With --from: the empty folder that the frames are written to first."
        ),
    ],
    *,
    task: Annotated[Trainable, typer.Option(help="What the model is for.")] = "classify",
    model: Annotated[str, typer.Option(help="A network of torchvision for this task, or cnn_rnn.")],
    out: Annotated[Path, typer.Option(help="The folder to write: a model that the worker loads, and its card.")],
    topic: Topic = None,
    since: From = None,
    until: To = None,
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    test: Annotated[
        Path | None, typer.Option(exists=True, help="Data to test with; default: a part of DATA is held out.")
    ] = None,
    holdout: Annotated[
        list[str] | None, typer.Option(metavar="CAMERA", help="Hold out this camera or video; repeatable.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of each class that is held out, by camera or video.")
    ] = _USUAL.share,
    weights: Annotated[
        str, typer.Option(help="Where to begin: published weights by name, a state dict, a model's folder, or none.")
    ] = _USUAL.weights,
    layers: Annotated[
        Layers, typer.Option(help="What is trained: the part that depends on the classes, or everything.")
    ] = _USUAL.layers,
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HEIGHTxWIDTH", help="Pixels of the input; default: as the weights.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Frames of a clip or a sequence.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, max=1000, help="Frames a second of a clip or a sequence.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Frames from one clip to the next; default: clips do not overlap.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Of cnn_rnn: the classifier that looks at each frame.")] = None,
    rnn: Annotated[Cell, typer.Option(help="Of cnn_rnn: what looks at the sequence.")] = _PARTS.rnn,
    hidden: Annotated[int, typer.Option(min=1, help="Of cnn_rnn: numbers that a layer remembers.")] = _PARTS.hidden,
    rnn_layers: Annotated[int, typer.Option(min=1, help="Of cnn_rnn: layers of the RNN.")] = _PARTS.layers,
    layer: Annotated[
        str | None, typer.Option(help="Of cnn_rnn: the backbone's layer that the RNN sees; default: its last.")
    ] = None,
    grid: Annotated[
        int, typer.Option(min=1, help="Of cnn_rnn: rows and columns that the layer's output is averaged to.")
    ] = _PARTS.grid,
    optimizer: Annotated[OptimizerName, typer.Option(help="How weights are changed.")] = _USUAL.optimizer,
    learning_rate: Annotated[
        float | None, typer.Option(min=0.0, help="At its highest; default: 0.001 for adamw, 0.01 for sgd.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0.0, help="Default: 0.01 for adamw, 0.0001 for sgd.")
    ] = None,
    schedule: Annotated[
        ScheduleName, typer.Option(help="How the learning rate falls: to 0, to a tenth at each third, or not at all.")
    ] = _USUAL.schedule,
    warmup: Annotated[
        float, typer.Option(min=0.0, help="Epochs in which the learning rate rises; may be a fraction.")
    ] = _USUAL.warmup,
    epochs: Annotated[int, typer.Option(min=1, help="How often all data are seen, at most.")] = _USUAL.epochs,
    batch: Annotated[int, typer.Option(min=2, help="Samples of a step.")] = _USUAL.batch,
    augment: Annotated[Augment, typer.Option(help="How much pictures are changed at random.")] = _USUAL.augment,
    flip: Annotated[
        bool, typer.Option("--flip", help="Mirror half of the pictures: left and right become the same.")
    ] = _USUAL.flip,
    balance: Annotated[
        Balance, typer.Option(help="What is done about rare classes: a weight in the loss, or drawn more often.")
    ] = _USUAL.balance,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many epochs without a better one; default: never.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of a detector: the score from which on a box counts.")
    ] = _USUAL.threshold,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = _USUAL.seed,
    amp: Annotated[Amp, typer.Option(help="Compute with fewer bits while training.")] = _USUAL.amp,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = _USUAL.device,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches.")] = _USUAL.workers,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads on a CPU; default: one for each core."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; default: that of the folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on labelled pictures or videos, and write a folder that run, check and replay load.

    With --from, the labelled frames of a stretch of a topic are written to DATA first, as by `export`.

    Cameras and videos that are held out are never learned from. Ctrl-C keeps the best epoch so far and writes the
    model; --resume goes on from there.
    """
    parts = CnnRnnShape(backbone or _PARTS.backbone, rnn, hidden, rnn_layers, layer, grid)
    options = Options(
        task=task,
        model=model,
        weights=weights,
        shape=parts if model == CNN_RNN or backbone else None,
        size=_read_size(size),
        frames=frames,
        rate=rate,
        stride=stride,
        layers=layers,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        warmup=warmup,
        epochs=epochs,
        batch=batch,
        augment=augment,
        flip=flip,
        balance=balance,
        patience=patience,
        seed=seed,
        amp=amp,
        device=device,
        workers=workers,
        threads=threads,
        share=share,
        holdout=tuple(holdout or ()),
        threshold=threshold,
    )
    if test and holdout:
        raise typer.BadParameter("DATA is not split if there are data to test with", param_hint="--holdout")

    if since is None and (topic or until):
        raise typer.BadParameter("give --from too: where the stretch of the topic begins", param_hint="--topic, --to")
    if since is not None and not resume:  # the data of a training that is resumed are there already
        stretch = stretch_of(*kafka_and_topics(config, bootstrap_servers, option), since, until, topic=topic)
        typer.echo(summary_of(stretch.write(data), data), err=True)
    if not data.exists():
        raise typer.BadParameter(f"{data} does not exist", param_hint="DATA")

    from worker.training.train import train as train_model

    with progress_bar() as bar:
        outcome = train_model(data, out, options, test=test, resume=resume, name=name, watcher=_shown_on(bar))
    if as_json:
        typer.echo(msgspec.json.encode(_facts(outcome)))
    else:
        _print(outcome)


def _read_size(text: str | None) -> tuple[int, int] | None:
    """Return (height, width)."""
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if found is None or 0 in (size := (int(found[1]), int(found[2] or found[1]))):
        raise typer.BadParameter(f"{text!r} is no size: give a side, or HEIGHTxWIDTH", param_hint="--size")
    return size


def _shown_on(bar: "Progress") -> Any:
    from worker.training.train import Watcher

    class Shown(Watcher):
        """Shows on a terminal how far training is."""

        task: "TaskID | None" = None

        def prepared(self, done: int, total: int) -> None:
            self._show(done, total, f"preparing pictures: {done} of {total}")

        def step(self, step: "Step", epochs: int) -> None:
            accuracy = "" if step.accuracy is None else f", accuracy {step.accuracy:.1%}"
            best = "" if step.score is None else f"; best on held-out data {step.score:.3f}"
            text = f"epoch {step.epoch} of {epochs}: loss {step.loss:.3f}{accuracy}{best}"
            self._show((step.epoch - 1) * step.of + step.done, epochs * step.of, text)

        def note(self, text: str) -> None:
            bar.console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)

        def _show(self, done: int, total: int, text: str) -> None:
            if self.task is None:
                self.task = bar.add_task(text, total=total)
            bar.update(self.task, completed=done, total=total, description=text)

    return Shown()


def _facts(outcome: "Outcome") -> dict[str, Any]:
    return {
        "folder": str(outcome.folder),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "interrupted": outcome.interrupted,
        outcome.score_name: outcome.measured.score,
    }


def _print(outcome: "Outcome") -> None:
    from worker.training.boxes import BoxFigures

    console = Console(highlight=False, soft_wrap=True)
    if outcome.interrupted:
        console.print("interrupted: the best epoch so far is kept; go on with --resume")
    match outcome.measured.figures:
        case BoxFigures() as figures:
            console.print(f"precision on held-out data: {figures.precision}")
            console.print(f"recall on held-out data: {figures.recall}")
            console.print(f"mean average precision at IoU 0.5: {figures.map_50:.3f}")
        case figures:
            console.print(f"accuracy on held-out data: {figures.accuracy}")
    console.print(f"epoch {outcome.best_epoch} of {outcome.epochs} was the best")
    console.print(f"wrote {outcome.folder}: use it with VISION_WORKER_MODEL__PATH={outcome.folder}", markup=False)
