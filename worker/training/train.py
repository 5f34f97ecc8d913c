"""From labelled data to a model's folder: the order of everything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from worker.domain.errors import SettingsError, WorkerError
from worker.domain.preprocessing import Preprocessing
from worker.models.container import cores, is_limited
from worker.models.engines.torch_engine import find_device, limit_torch_threads
from worker.training.balance import class_weights
from worker.training.card import Card
from worker.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from worker.training.curves import check_installed
from worker.training.lessons import prepare_lessons
from worker.training.loop import Step, begin, run
from worker.training.model_folder import write_model
from worker.training.objectives import Classes, Detection, Measured, Objective, Sequences
from worker.training.options import Options, faults_of, recorded
from worker.training.samples import Sample, timing_of
from worker.training.sources import Sources, read_sources
from worker.training.start import find_beginning, start_network

_PICTURES_A_SECOND: Final = 10.0
"""Of pictures without capture times, if nothing else is said; as `vision-worker produce` sends them."""


class Watcher:
    """What a person is told while it goes on; these methods do nothing."""

    def prepared(self, done: int, total: int) -> None:
        """Tell how many pictures are prepared."""

    def step(self, step: Step, epochs: int) -> None:
        """Tell how far training is, after a batch."""

    def note(self, text: str) -> None:
        """Tell what was left out, or is worth knowing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training led to.

    Attributes:
        folder: the model's.
        epochs: how many there were.
        score_name: what was to be high.
        last_score: of the last epoch, on held-out data.
        measured: of the best epoch, on held-out data.
    """

    folder: Path
    best_epoch: int
    epochs: int
    interrupted: bool
    score_name: str
    last_score: float
    measured: Measured


def train(
    data: Path,
    out: Path,
    options: Options,
    *,
    test: Path | None = None,
    resume: bool = False,
    name: str | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Train a network on labelled data, and write it as a folder that the worker loads.

    Args:
        data: as `worker.data.labelled.read_labelled` takes it.
        out: the folder to write; its checkpoint is in a sub-folder.
        options: how to train.
        test: data to test with, in the same form; None holds out part of `data`.
        resume: whether to go on from the checkpoint of `out`.
        name: of the model; None takes that of `out`.
        watcher: is told how far it is.

    Raises:
        SettingsError: faults of the options or of the data, as many as can be told at once.
        ModelUnavailable: the weights to begin with cannot be had, or the device is not there.
        WorkerError: training failed, or was interrupted before the first epoch was complete.
    """
    watcher = watcher or Watcher()
    told = recorded(options)
    if faults := [*faults_of(options), *_faults_of_folder(data, out, resume=resume)]:
        raise SettingsError(faults)
    check_installed(options.task)
    device = find_device(options.device, "fp32")
    if options.threads is not None or is_limited():
        limit_torch_threads(options.threads or cores())
    beginning = find_beginning(options)
    timing = timing_of(options, beginning.clip)
    rate = timing.rate if timing and timing.rate else _PICTURES_A_SECOND
    sources = read_sources(data, test, options, rate=rate)
    before = load_checkpoint(out, options=told, data=sources.sha256) if resume else None
    out.mkdir(parents=True, exist_ok=True)
    numbers = beginning.preprocessing
    lessons, facts, learned = prepare_lessons(sources, options, timing, numbers, out, seen=watcher.prepared)
    for note in (*facts.notes, *_left_out(facts.unlabelled, facts.unreadable)):
        watcher.note(note)
    started = start_network(options, beginning, len(sources.names))
    network = started.network.to(device)
    objective = _objective(options, numbers, sources, learned, device)
    training = begin(network, options, lessons)
    if before is not None:
        training.restore(before)
    interrupted = run(
        training,
        options,
        lessons,
        objective,
        report=lambda step: watcher.step(step, options.epochs),
        save=lambda: save_checkpoint(out, options=told, data=sources.sha256, training=training.state()),
    )
    if not training.best.epoch:
        raise WorkerError(f"training was interrupted before its first epoch was complete: {out} has no model")
    network.load_state_dict(training.best_state)
    measured = objective.measure(network, lessons.held_out, lessons.pixels)
    card = Card(
        name=name or "-".join(out.resolve().name.split()),
        task=options.task,
        origin=beginning.origin,
        random=started.random,
        options=told,
        data=replace(facts, path=str(data)),
        history=tuple(training.history),
        best_epoch=training.best.epoch,
        interrupted=interrupted,
        measured=measured,
        score_name=objective.score_name,
    )
    write_model(
        out,
        training.best_state,
        options,
        names=sources.names,
        numbers=numbers,
        timing=timing,
        card=card,
        arguments=beginning.arguments,
    )
    return Outcome(
        folder=out,
        best_epoch=training.best.epoch,
        epochs=len(training.history),
        interrupted=interrupted,
        score_name=objective.score_name,
        last_score=training.history[-1].score,
        measured=measured,
    )


def _faults_of_folder(data: Path, out: Path, *, resume: bool) -> Iterator[str]:
    if out.exists() and not out.is_dir():
        yield f"--out {out} is a file: name a folder"
    elif not resume and has_checkpoint(out):
        yield f"--out {out} has a checkpoint: go on from it with --resume, or name a new folder"
    elif not resume and out.is_dir() and any(out.iterdir()):
        yield f"--out {out} is not empty: name a new folder, so that no files are mixed or lost"
    if data.resolve() in {out.resolve(), *out.resolve().parents}:
        yield f"--out {out} is in the data's folder: its pictures would be taken for data the next time"


def _left_out(unlabelled: int, unreadable: Sequence[str]) -> Iterator[str]:
    if unlabelled:
        yield f"{unlabelled} pictures have no ground truth and are left out"
    if unreadable:
        yield f"{len(unreadable)} pictures cannot be read and are left out, such as {unreadable[0]}"


def _objective(
    options: Options, numbers: Preprocessing, sources: Sources, learned: Sequence[Sample], device: torch.device
) -> Objective:
    if options.task == "detect":
        return Detection(options, numbers, sources.names, device=device)
    weights = None
    if options.balance == "weights":
        weights = class_weights(
            [each for sample in learned for each in sample.targets if each >= 0], len(sources.names)
        )
    kind = Sequences if options.task == "recurrent" else Classes
    return kind(options, numbers, sources.names, weights=weights, device=device)
