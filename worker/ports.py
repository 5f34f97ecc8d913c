"""What the worker's loop needs from the outside, and nothing more."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays
from worker.domain.checkpoints import Checkpoint
from worker.domain.extents import Extent
from worker.domain.frames import EncodedFrame, GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.networks import Recurrence
from worker.domain.records import (
    OnCommitted,
    OnMissed,
    OnPartitions,
    OnWaiting,
    OutboundRecord,
    Record,
    Stopping,
    TopicPartition,
)
from worker.domain.results import AnyVerdict, Classification, ModelIdentity, Outcome, Prediction, Result
from worker.domain.samples import Picture, Sample, Skipped
from worker.domain.sequences import DroppedState, HiddenState
from worker.domain.tallies import DroppedTally, Tally
from worker.domain.times import EventMillis, Monotonic

WallClock = Callable[[], EventMillis]
MonotonicClock = Callable[[], Monotonic]


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two kinds of time."""

    wall: WallClock
    monotonic: MonotonicClock


Decode = Callable[[EncodedFrame, NDArray[np.uint8]], Geometry]
"""Turns an encoded frame into the model's input, `Model.input_shape`, uint8, and writes it into a slot of a batch.
Returns how the picture became the input. May be called from several threads at once; raises FrameRejected for a picture
that cannot be taken."""

Prepare = Callable[[EncodedFrame], "Future[Picture]"]
"""Begins to decode a frame before it is known which call of the model will show it."""

Annotate = Callable[[Prediction, EncodedFrame], bytes | None]
"""Makes a JPEG of a frame with its prediction drawn on it; None if none is wanted of this frame, or it cannot be made.
May be called from several threads at once, and raises nothing."""

Saved = Tally | HiddenState
"""What a state has saved, and reads back."""

Dropped = DroppedTally | DroppedState
"""What a state deletes of what it has saved."""

Restore = Callable[[Collection[TopicPartition], Stopping], Iterable[Saved]]
"""Reads back what the states of the given input partitions have saved last; raises Stopped."""


class Source(Protocol):
    """Where frames come from."""

    def subscribe(
        self,
        *,
        on_assigned: OnPartitions,
        on_revoked: OnPartitions,
        on_lost: OnPartitions,
        on_committed: OnCommitted,
        on_missed: OnMissed,
        on_waiting: OnWaiting,
    ) -> None:
        """Ask for partitions.

        Args:
            on_assigned: these are ours; their frames come once `begin` has said from where.
            on_revoked: these go to another worker once the callback returns; they can still be committed.
            on_lost: these already belong to somebody else; nothing can be committed.
            on_committed: a commit was answered; is called in `poll` or in `commit`.
            on_missed: records were deleted before they could be read.
            on_waiting: which partitions are ours and do not come yet, because outputs have no such partition.
        """

    def poll(self, timeout: float) -> Sequence[Record] | None:
        """Wait up to `timeout` seconds for the next records, in offset order per partition.

        Returns:
            Records of assigned partitions, empty if none came; None once no more will ever come.

        Raises:
            SourceLost: the input cannot be read any more.
        """

    def passed(self) -> Mapping[TopicPartition, int]:
        """Return the ends that polls have come to, each once: every frame below is handed out, where there is one."""

    def checkpoints(
        self, partitions: Collection[TopicPartition], stopping: Stopping
    ) -> Mapping[TopicPartition, Checkpoint]:
        """Return what the group has committed of these partitions, assigned just now; none of those never committed.

        Raises:
            SourceLost: it cannot be known.
            Stopped: the worker was told to stop meanwhile.
        """

    def extents(self, partitions: Collection[TopicPartition], stopping: Stopping) -> Mapping[TopicPartition, Extent]:
        """Return what these partitions hold at the moment; none of those of which it is not known.

        Raises:
            SourceLost: brokers do not answer.
            Stopped: the worker was told to stop meanwhile.
        """

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Let the frames of assigned partitions come, from these offsets on."""

    def commit(self, checkpoints: Mapping[TopicPartition, Checkpoint], *, wait: bool) -> None:
        """Store checkpoints, the mark together with the next offset; `on_committed` hears how it went.

        A failed commit is no error: replay is safe, and the next commit says the same or more.

        Args:
            checkpoints: of each partition.
            wait: return only once it is answered.
        """

    def lag(self) -> Mapping[TopicPartition, int]:
        """Tell, as far as known, how many records lie between the position and the end of each partition."""

    def close(self) -> None:
        """Leave the group."""


class Sink(Protocol):
    """Where results go."""

    @property
    def exactly_once(self) -> bool:
        """Whether `publish` stores the checkpoints too, in the same transaction as the records."""

    def publish(
        self, records: Sequence[OutboundRecord], checkpoints: Mapping[TopicPartition, Checkpoint], *, within: float
    ) -> None:
        """Write the records and return once every one is confirmed.

        Args:
            records: the outputs of frames that were not published before.
            checkpoints: what an exactly-once sink commits with them; any other leaves that to the source.
            within: seconds for all of it.

        Raises:
            DeliveryFailed: at least one was not confirmed, or not in time; names topic, partition and cause.
            DeliveryRefused: an exactly-once sink wrote nothing, because partitions have gone to another worker.
        """

    def close(self) -> None:
        """Let go of the connection."""


class Sampler(Protocol):
    """Turns the frames of one partition into samples, and counts out the frames that it skips.

    Every frame it takes must at some time be an answer of a sample, or be skipped; else its offset is never committed.
    What it makes of a frame may depend on the frames before it only as far as `oldest_needed` reaches back: those are
    read again after a restart.
    """

    @property
    def held_bytes(self) -> int:
        """Bytes of prepared pictures that are held for samples yet to come."""

    def take(self, frame: EncodedFrame, now: Monotonic) -> Sequence[Sample | Skipped]:
        """Take a frame; return the samples and skipped frames that are decided now.

        Args:
            frame: the next one in offset order.
            now: seconds of processing time for which the worker has listened: while it is busy it hears no camera.
        """

    def pass_time(self, now: Monotonic) -> Sequence[Sample | Skipped]:
        """Return what is decided because no frame came for a while; `now` as of `take`."""

    def relieve(self) -> Sequence[Sample | Skipped] | None:
        """Let go of some of the frames that are held, because memory is short; None if none are held."""

    def drain(self) -> Sequence[Sample | Skipped]:
        """Decide everything that is undecided: no more frames come."""

    def oldest_needed(self) -> int | None:
        """Return the oldest offset that a sample yet to come needs; None if none does."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the worker can take on at the moment.

    Attributes:
        room: samples that the model can take before it falls further behind: one call runs, and one waits.
        in_process: seconds until the result of a frame that is read now will be published.
    """

    room: int
    in_process: float


class LoadPolicy(Protocol):
    """Leaves samples of one partition out while the worker does not keep up with its cameras."""

    def admit(self, samples: Sequence[Sample], load: Load) -> Sequence[Sample | Skipped]:
        """Return the samples that are taken now, and the frames of those that are left out; others it holds back."""

    def release(self, room: int) -> Sequence[Sample]:
        """Return samples that were held back, as many as there is room for."""

    def reconsider(self, sample: Sample, wall: EventMillis, in_process: float) -> Sequence[Skipped]:
        """Return the frames of an admitted sample, skipped, if it is to be left out after all; nothing if it is not.

        Args:
            sample: its call of the model is about to begin.
            wall: what time it is.
            in_process: seconds until its result will be published.
        """


class Staged(NamedTuple):
    """What a state makes of outcomes.

    Attributes:
        outcomes: what is published, one for each that was given, of the same frame; the next states see these.
        saved: the keys that change, as they will be then; what is dropped of a key comes first.
    """

    outcomes: Sequence[Outcome]
    saved: Sequence[Saved | Dropped]


class PartitionState(Protocol):
    """What must survive a restart and move with its partition.

    Every key that it saves carries the next input offset that it includes, as a `Tally` does, so that a frame that is
    read again does not count again.
    """

    def restore(self, saved: Sequence[Saved], *, former: Sequence[Saved] = (), topic_id: str | None = None) -> None:
        """Take over what was saved last, before any frame is taken; what other states have saved is none of its.

        Args:
            saved: by all states.
            former: what was saved of records that are gone; the state deletes its own of it with its next publication.
            topic_id: of the frames to come; it is saved with every key.
        """

    def stage(self, outcomes: Sequence[Outcome], *, committed: int) -> Staged:
        """Return what these outcomes become, and what that changes; remember nothing.

        Args:
            outcomes: at least one, in offset order, and of each camera without a gap.
            committed: the brokers have stored this offset: no frame below it is ever read again.
        """

    def settle(self, saved: Sequence[Any]) -> None:
        """Remember what `stage` returned as `saved`: the brokers have confirmed it."""


class Stepped(NamedTuple):
    """What one more frame of each of some cameras leads to.

    Attributes:
        scores: (cameras, classes), float32.
        states: (cameras, state_size), float32.
    """

    scores: NDArray[np.float32]
    states: NDArray[np.float32]


class Recurrent(Protocol):
    """The part of a model that goes from frame to frame: in the loop's thread, on what the other part made of each."""

    @property
    def recurrence(self) -> Recurrence:
        """What the manifest says of it."""

    @property
    def state_size(self) -> int:
        """Numbers that are remembered of a camera; a fresh state is all zeros."""

    def step(self, features: NDArray[np.float32], states: NDArray[np.float32]) -> Stepped:
        """Go one frame on, each row for a camera of its own.

        Args:
            features: of the frames, (cameras, features).
            states: what is remembered of the frames before, (cameras, state_size).

        Raises:
            ModelFailed: the network raised.
        """

    def classify(self, scores: NDArray[np.float32]) -> Sequence[Classification]:
        """Make results of the scores of any number of steps.

        Raises:
            ModelContractBroken: they are not what they are said to be.
        """


class Asked(NamedTuple):
    """What is wanted of a sample.

    Attributes:
        geometry: how the picture of its newest frame became the model's input.
        places: of each answer, the place of the input that it is about; a single frame is at place 0.
    """

    geometry: Geometry
    places: Sequence[int]


class Task(Protocol):
    """What a model is asked: how its answer becomes a result, and how that is compared with a label."""

    @property
    def name(self) -> str:
        """The manifest's word for it."""

    @property
    def labels(self) -> Sequence[str]:
        """Class names by index."""

    def check(self, outputs: Arrays, samples: int) -> Arrays:
        """Return what an engine answered for a number of samples, in order and fit to be trusted.

        Raises:
            ModelContractBroken: the outputs do not fit the samples, the labels, or what they are said to be.
        """

    def results(self, outputs: Arrays, asked: Sequence["Asked"]) -> Sequence[Sequence[Result]]:
        """Make the results of each sample, one for each of its answers.

        Args:
            outputs: as `check` returned them, joined.
            asked: of each sample, what is wanted.
        """

    def judge(self, result: Any, truth: GroundTruth) -> AnyVerdict | None:
        """Compare one of its own results with the truth; None if nothing is known that means anything to the model."""


class Model(Protocol):
    """A model, loaded and ready to run."""

    @property
    def identity(self) -> ModelIdentity:
        """Name and version."""

    @property
    def task(self) -> Task:
        """What it is asked."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels) of a prepared picture, or (frames, height, width, channels) of a clip."""

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared picture."""

    @property
    def streams(self) -> int:
        """Calls that run at once."""

    def parts(self, samples: int) -> Sequence[slice]:
        """Cut a batch into the parts that run best as a call each, at once."""

    def run(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch, or a part of one, through the model, blocking, without holding the GIL.

        Several threads may call it at once; those for which there is no room wait.

        Args:
            pixels: what `Decode` wrote, (batch, *input_shape), batch at least 1; of clips that are shortened, fewer
                frames.

        Returns:
            What its task has checked.

        Raises:
            ModelFailed: the model raised.
            ModelOutOfMemory: there was no memory for this batch.
            ModelContractBroken: the output does not fit the batch or the labels.
        """
