"""Load candidates, compare their answers with the reference's, and run each for a short time."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

import torch
from pydantic import ValidationError

from worker import wire
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.models.build import build_model, calibrate, settle_threads
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest
from worker.settings import ModelGroup, WindowGroup
from worker.settings.offline import Choice, Groups
from worker.stream.worker import Worker
from worker.tuning.agreement import Agreement, Answer, Answers, Bounds, compare
from worker.tuning.disturbance import Undisturbed
from worker.tuning.measure import (
    TOPICS,
    answer_of,
    answers_a_sample,
    call_size,
    model_rate,
    polls_for,
    prepare_frames,
    run_worker,
    worker_rate,
)
from worker.tuning.pairs import Run
from worker.tuning.search import Judged, Stage
from worker.tuning.suited import suited

MOST_LISTED: Final = 1000
"""Classes in a prediction, as of `model.top_k`."""
LOADED: Final = 3
"""Models in memory at a time: two of a pair, and one that is likely to come next."""
ALONE: Final = 1 / 15
"""Length of a run of the model alone, as a share of the time for which a candidate is measured at first."""
WHOLE: Final = 1 / 3
"""Length of a run of the whole worker without Kafka, as such a share, once its queues are full."""
_ANSWERS_DEPEND_ON: Final = ("model.engine", "model.precision", "model.memory_format", "model.preparation")


class Workers(Protocol):
    """Runs whole workers on Kafka."""

    def ready(self, groups: Groups) -> None:
        """Start a worker with these settings, if none is at work that has enough to do."""

    def run(self, groups: Groups) -> Run:
        """Let it work for a moment."""


class Trials:
    """This machine, as the search sees it.

    The reference is uncompiled torch on the CPU, in fp32, with exact preparation.

    Args:
        manifest: the model's manifest.
        groups: the user's settings; each candidate's settings override them.
        frames: the frames to measure with, each with its own frame id.
        bounds: what counts as agreement.
        calibration: other frames, for quantising the model.
        seconds: for how long a candidate is measured at first, in short runs.
        undisturbed: repeats runs that other programs disturbed.
        on_kafka: runs whole workers; None lets them run in this process, without Kafka.

    Attributes:
        undisturbed: as given; says how many runs were repeated.

    Raises:
        WorkerError: the reference cannot be loaded, or accepts none of the frames.
    """

    def __init__(
        self,
        manifest: Manifest,
        groups: Groups,
        frames: Sequence[CapturedFrame],
        *,
        calibration: Sequence[CapturedFrame],
        bounds: Bounds,
        seconds: float,
        undisturbed: Undisturbed,
        on_kafka: Workers | None = None,
    ) -> None:
        self.undisturbed, self._on_kafka = undisturbed, on_kafka
        self._manifest = manifest
        if manifest.task == "multi_label":
            # A class that is named here, and listed nowhere there, would differ by all of its probability.
            groups = groups.updated_by({"model.top_k": min(len(manifest.labels), MOST_LISTED)})
        self._groups = groups
        self._frames = frames
        self._bounds = bounds
        self._seconds = seconds
        self._untuned = suited(groups, manifest).chosen
        """What no choice means: the worker without a profile."""
        self._default_threads = torch.get_num_threads()
        self._agreements: dict[object, Agreement] = {}
        self._models = OrderedDict[tuple[ModelGroup, int], LoadedModel]()
        reference = Groups(ModelGroup(path=manifest.file, top_k=groups.model.top_k), WindowGroup(), groups.limits)
        model = self._load(reference)
        self._reference = self._answers(reference, model)
        if not self._reference:
            raise WorkerError(f"none of the {len(frames)} frames can be decoded: give other frames with --frames")
        self._pixels = prepare_frames(reference, model, frames)
        self._calibration = prepare_frames(reference, model, calibration)
        self._calibrated = False

    @property
    def answered(self) -> int:
        """Number of predictions of the reference."""
        return len(self._reference)

    def judge(self, choice: Choice, *, thorough: bool) -> Judged:
        """Load a candidate and compare its answers with the reference's, or say why it cannot run here."""
        try:
            choice = choice or self._untuned
            groups = self._groups.updated_by(choice)
            model = self._loaded(groups)
            matters = choice if thorough else {name: choice.get(name) for name in _ANSWERS_DEPEND_ON}
            key = tuple(sorted((name, str(value)) for name, value in matters.items()))
            if key not in self._agreements:
                self._agreements[key] = compare(self._reference, self._answers(groups, model))
        except ValidationError as error:
            return Judged(None, "; ".join(each["msg"] for each in error.errors()))
        except WorkerError as error:
            return Judged(None, str(error).partition("\n")[0])
        return Judged(self._agreements[key], self._bounds.why_not(self._agreements[key]))

    def run(self, stage: Stage, choice: Choice) -> Run:
        """Run a candidate that was judged, and does run."""
        groups = self._groups.updated_by(choice or self._untuned)
        workers = None if stage.model_alone else self._on_kafka
        if workers is None:
            return self.undisturbed.run(lambda: self._run_here(stage, groups), ready=lambda: self._loaded(groups))
        self._models.clear()  # the memory is for the workers
        return self.undisturbed.run(lambda: workers.run(groups), ready=lambda: workers.ready(groups))

    def _run_here(self, stage: Stage, groups: Groups) -> Run:
        """Run a candidate in this process."""
        model = self._loaded(groups)
        settle_threads(groups.model, usual=self._default_threads)
        began = time.monotonic()
        if stage.model_alone:
            call = call_size(model, groups.window.frames_or_usual)
            rate = model_rate(model, self._pixels, call, self._seconds * ALONE) * answers_a_sample(self._manifest)
        else:
            polls = polls_for(self._manifest, self._frames, endless=True)
            rate = worker_rate(groups, model, polls, self._seconds * WHOLE)
        return Run(rate, time.monotonic() - began)

    def _loaded(self, groups: Groups) -> LoadedModel:
        """Return a candidate's model; what was used longest ago is dropped from memory first."""
        key = groups.model, groups.window.frames_or_usual  # it has warmed up for batches of this size
        if key not in self._models:
            while len(self._models) >= LOADED:
                self._models.popitem(last=False)
            self._models[key] = self._load(groups)
        self._models.move_to_end(key)
        return self._models[key]

    def _load(self, groups: Groups) -> LoadedModel:
        settle_threads(groups.model, usual=self._default_threads)
        if groups.model.precision == "int8" and not self._calibrated:
            calibrate(self._manifest, groups.model, self._calibration)
            self._calibrated = True
        model = build_model(self._manifest, groups.model)
        model.warm_up(groups.window.frames_or_usual)
        return model

    def _answers(self, groups: Groups, model: LoadedModel) -> Answers:
        """Run all frames once through the whole worker."""
        found: dict[str, Answer] = {}

        def write(record: OutboundRecord) -> None:
            if record.topic == TOPICS.predictions:
                message = wire.decode_message(record.value or b"")
                found[message.frame.id] = answer_of(message)

        settle_threads(groups.model, usual=self._default_threads)
        run_worker(groups, model, polls_for(self._manifest, self._frames, endless=False), write, Worker.run)
        return found
