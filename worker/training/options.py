"""What can be chosen about training, and which choices contradict each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from worker.domain.networks import CnnRnnShape

Trainable = Literal["classify", "clip", "recurrent", "detect"]
Layers = Literal["head", "all"]
OptimizerName = Literal["adamw", "sgd"]
ScheduleName = Literal["cosine", "step", "constant"]
Augment = Literal["none", "light", "strong"]
Balance = Literal["none", "weights", "sampler"]
Amp = Literal["off", "bf16", "fp16"]

TASKS: tuple[Trainable, ...] = get_args(Trainable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that decides how a network is trained; equal options and data give equal weights on a CPU.

    Attributes:
        task: what the network is for.
        model: name of an architecture.
        weights: where training begins: `DEFAULT` or another name of published weights, `none`, a state dict or a
            model's folder.
        shape: the parts of a `cnn_rnn`; else None.
        size: (height, width) of the input; None takes that of the weights.
        frames: of a clip or a sequence; None takes what the weights were trained with.
        rate: frames a second, as `frames`; of the task `recurrent`, None takes every frame.
        stride: slots from clip to clip; None makes clips that do not overlap.
        layers: what is trained: the part that depends on the classes, or everything.
        learning_rate: of the optimizer at its highest; None takes what is usual for it.
        weight_decay: None takes what is usual for the optimizer.
        warmup: epochs in which the learning rate rises to its highest; may be a fraction.
        epochs: how often all data are seen, at most.
        batch: samples of a step, at least 2.
        flip: whether pictures are mirrored at random. Left and right are then the same to the network.
        patience: epochs without a better one after which training ends; None trains all epochs.
        workers: processes that prepare batches; 0 prepares them in this process.
        threads: of torch on a CPU; None takes one for each core. On a machine that has other work, fewer are faster.
        share: of each class, what is held out, if no cameras are named.
        holdout: cameras or videos to hold out.
        threshold: of the task `detect`, from which score on a box counts.
    """

    task: Trainable
    model: str
    weights: str = "DEFAULT"
    shape: CnnRnnShape | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None
    rate: float | None = None
    stride: int | None = None
    layers: Layers = "head"
    optimizer: OptimizerName = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: ScheduleName = "cosine"
    warmup: float = 0.5
    epochs: int = 20
    batch: int = 32
    augment: Augment = "light"
    flip: bool = False
    balance: Balance = "none"
    patience: int | None = None
    seed: int = 0
    amp: Amp = "off"
    device: str = "cpu"
    workers: int = 0
    threads: int | None = None
    share: float = 0.2
    holdout: tuple[str, ...] = ()
    threshold: float = 0.5

    @property
    def sees_time(self) -> bool:
        """Whether the network takes several frames."""
        return self.task in {"clip", "recurrent"}


def faults_of(options: Options) -> Iterator[str]:
    """Yield what is wrong with the choices, one line each, with what to do."""
    if options.weights == "none" and options.layers == "head":
        yield (
            "--layers head trains only the last layer, and --weights none makes all others random: give --layers all, "
            "or weights to begin with"
        )
    if (options.model == "cnn_rnn") != (options.shape is not None):
        yield "--backbone and the other parts are for --model cnn_rnn"
    if options.amp == "fp16" and options.device == "cpu":
        yield "--amp fp16 is for a GPU: give --amp bf16, or --device cuda"
    if options.task == "detect" and options.balance == "weights":
        yield "--balance weights is not for detectors, whose loss has no weights: give --balance sampler"
    if not options.sees_time and (options.frames or options.rate or options.stride):
        yield f"--frames, --rate and --stride are for clips and sequences, not for --task {options.task}"
    if options.task == "recurrent" and options.stride:
        yield "--stride is for --task clip: a recurrent model sees every frame"


def recorded(options: Options) -> dict[str, Any]:
    """Return the options as plain values, for the card and the checkpoint.

    Paths are left as they were given. What changes nothing about the result is not part of it.
    """
    values = {name: getattr(options, name) for name in options.__slots__ if name not in {"workers", "threads"}}
    shape = options.shape
    parts = None if shape is None else {name: getattr(shape, name) for name in shape.__slots__}
    return values | {
        "shape": parts,
        "size": list(options.size) if options.size else None,
        "holdout": list(options.holdout),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what differs between two sets of recorded options, as lines.

    >>> differences({"epochs": 5, "seed": 0}, {"epochs": 6, "seed": 0})
    ['epochs was 5 and is 6']
    """
    return [f"{name} was {before.get(name)} and is {value}" for name, value in now.items() if before.get(name) != value]


def is_path(weights: str) -> bool:
    """Tell whether `--weights` names a file or a folder, not weights that are published."""
    return weights != "none" and Path(weights).exists()
