"""Epoch after epoch: learn, measure, keep the best, and write down how to go on."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from worker.domain.errors import WorkerError
from worker.training.batches import Pieces, loader
from worker.training.objectives import Objective
from worker.training.options import Options
from worker.training.samples import Sample
from worker.training.schedule import make_optimizer, make_schedule
from worker.training.start import train_mode
from worker.training.stopping import Best, better_of, is_over

_TYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LONGEST_GRADIENT: Final = 5.0
"""Longer gradients are shortened: one unlucky batch would undo what was learned."""


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """What became of one epoch.

    Attributes:
        loss: mean of the batches, of changed pictures.
        accuracy: of these, from 0 to 1; None for a detector.
        held_out_loss: on held-out data.
        score: on held-out data, such as the accuracy.
        learning_rate: at the end of the epoch.
    """

    epoch: int
    loss: float
    accuracy: float | None
    held_out_loss: float
    score: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """How far training is, after a batch.

    Attributes:
        done: batches of this epoch.
        of: batches of an epoch.
        loss: mean of this epoch so far.
        accuracy: of this epoch so far; None for a detector.
        score: of the best epoch so far; None before the first.
    """

    epoch: int
    done: int
    of: int
    loss: float
    accuracy: float | None
    score: float | None


@dataclass
class Training:
    """Everything that changes while a network is trained.

    Attributes:
        history: one for each epoch that is complete.
        best_state: the weights of the best epoch, on the CPU.
    """

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    history: list[EpochFigures] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Return all of it as plain values and tensors, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [{name: getattr(each, name) for name in each.__slots__} for each in self.history],
            "best": [self.best.epoch, self.best.score, self.best.loss],
            "best_state": self.best_state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.history = [EpochFigures(**each) for each in state["history"]]
        self.best = Best(*state["best"])
        self.best_state = state["best_state"]


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learned from, and tested with.

    Attributes:
        pieces: to learn from.
        weights: how often each piece is drawn, in proportion; None draws each once an epoch.
        held_out: samples to test with.
        pixels: of the held-out pictures, as the worker prepares them.
    """

    pieces: Pieces
    weights: Sequence[float] | None
    held_out: Sequence[Sample]
    pixels: NDArray[np.uint8]

    def batches(self, options: Options, epoch: int) -> Any:
        """Return the batches of an epoch."""
        return loader(
            self.pieces,
            batch=options.batch,
            seed=options.seed,
            epoch=epoch,
            weights=self.weights,
            workers=options.workers,
        )


def begin(network: nn.Module, options: Options, lessons: Lessons) -> Training:
    """Make the optimizer and its schedule."""
    steps = len(lessons.batches(options, 1))
    optimizer = make_optimizer(
        options.optimizer,
        network.parameters(),
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
    )
    total = steps * options.epochs
    warmup = min(round(options.warmup * steps), total - 1)
    schedule = make_schedule(options.schedule, optimizer, steps=total, warmup=warmup)
    device = options.device.partition(":")[0]
    scaler = torch.amp.GradScaler(device, enabled=options.amp == "fp16")
    return Training(network, optimizer, schedule, scaler)


def run(
    training: Training,
    options: Options,
    lessons: Lessons,
    objective: Objective,
    *,
    report: Callable[[Step], None],
    save: Callable[[], None],
) -> bool:
    """Train until all epochs are done, or no better one came for long enough, or a person interrupts.

    All that is random in an epoch follows from the seed and its number. So training that goes on after an epoch ends as
    if it had not been interrupted.

    Args:
        training: changes.
        options: how to train.
        lessons: the data.
        objective: what for.
        report: is called after each batch.
        save: is called after each epoch.

    Returns:
        Whether it was interrupted; the epoch that was under way is forgotten.

    Raises:
        WorkerError: the loss is no number any more.
    """
    try:
        while len(training.history) < options.epochs:
            done = len(training.history)
            if done and is_over(training.best, done, options.patience):
                break
            _run_epoch(training, options, lessons, objective, report)
            save()
    except KeyboardInterrupt:
        return True
    return False


def _run_epoch(
    training: Training, options: Options, lessons: Lessons, objective: Objective, report: Callable[[Step], None]
) -> None:
    epoch, started = len(training.history) + 1, time.monotonic()
    torch.manual_seed(options.seed * 1_000_003 + epoch)
    train_mode(training.network)
    batches = lessons.batches(options, epoch)
    losses, right, total = 0.0, 0, 0
    best = training.best.score if training.best.epoch else None
    for number, batch in enumerate(batches, start=1):
        training.optimizer.zero_grad(set_to_none=True)
        with _lowered(options):
            found = objective.loss(training.network, batch)
        if not torch.isfinite(found.loss):
            raise WorkerError(
                f"the loss is {float(found.loss)} in epoch {epoch}: give a lower --learning-rate, or --amp off"
            )
        _learn(training, found.loss)
        losses, right, total = losses + float(found.loss.detach()), right + found.right, total + found.total
        report(Step(epoch, number, len(batches), losses / number, right / total if total else None, best))
    measured = objective.measure(training.network, lessons.held_out, lessons.pixels)
    training.history.append(
        EpochFigures(
            epoch=epoch,
            loss=losses / max(1, len(batches)),
            accuracy=right / total if total else None,
            held_out_loss=measured.loss,
            score=measured.score,
            learning_rate=float(training.optimizer.param_groups[0]["lr"]),
            seconds=time.monotonic() - started,
        )
    )
    training.best = better_of(training.best, Best(epoch, measured.score, measured.loss))
    if training.best.epoch == epoch:
        state = training.network.state_dict()
        training.best_state = {name: each.detach().cpu().clone() for name, each in state.items()}


def _learn(training: Training, loss: torch.Tensor) -> None:
    training.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    training.scaler.unscale_(training.optimizer)
    weights = [each for group in training.optimizer.param_groups for each in group["params"]]
    nn.utils.clip_grad_norm_(weights, _LONGEST_GRADIENT)
    scale = training.scaler.get_scale()
    training.scaler.step(training.optimizer)
    training.scaler.update()
    # With fp16, a step whose gradients are no numbers is left out, and the scale is lowered.
    if training.scaler.get_scale() >= scale:
        training.schedule.step()


def _lowered(options: Options) -> AbstractContextManager[object]:
    """Compute convolutions and matrix products with fewer bits, if asked for."""
    if options.amp == "off":
        return nullcontext()
    return torch.autocast(options.device.partition(":")[0], _TYPES[options.amp])
