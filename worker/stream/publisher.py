"""Publishes what is finished, and moves accuracy and offsets on once the brokers have confirmed it."""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Final

from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import DeliveryRefused
from worker.domain.latency import LatencyControl
from worker.domain.records import TopicPartition
from worker.domain.results import Prediction
from worker.domain.sequences import DroppedState
from worker.domain.times import Monotonic
from worker.ops.telemetry import Telemetry
from worker.ports import Clocks, Sink, Source
from worker.stream.loop_settings import LoopSettings
from worker.stream.partition import Partition
from worker.stream.render import Rendered, Renderer
from worker.stream.stages import Stages

MAX_REFUSALS: Final = 100
"""Refused transactions in a row after which the worker stops: by then a poll should have told it what it has left."""


class Publisher:
    """Takes results out of the worker, in four steps that are the same in both modes of delivery.

    1. stage: results that may leave, the accuracy that includes them, and the checkpoints that follow are gathered;
       nothing is remembered yet.
    2. publish: they are written, and the brokers confirm every one of them; at least once, hidden states come after the
       results that they include, because a state says of a frame that is read again that it was published.
    3. settle: accuracy, ledger and checkpoints move on in memory.
    4. commit: the checkpoints are stored.

    Exactly once, step 4 is part of step 2: outputs and checkpoints are one transaction. At least once, a crash between
    any two steps reads the frames again. Accuracy does not count them again, because each of its records carries the
    offset it includes.
    """

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        renderer: Renderer,
        control: LatencyControl,
        stages: Stages,
        telemetry: Telemetry,
        settings: LoopSettings,
        clocks: Clocks,
    ) -> None:
        self._source = source
        self._sink = sink
        self._renderer = renderer
        self._control = control
        self._stages = stages
        self._telemetry = telemetry
        self._settings = settings
        self._wall, self._monotonic = clocks.wall, clocks.monotonic
        self._last_publication = self._next_commit = Monotonic(0.0)
        self._refusals = 0

    def due_at(self, *, backlog: bool) -> Monotonic:
        """Return when the next publication is due, if there is anything to publish by then."""
        settings = self._settings
        return Monotonic(
            self._last_publication + (settings.backlog_interval if backlog else settings.publication_interval)
        )

    def commit_due(self, now: Monotonic) -> bool:
        """Tell whether it is time to commit."""
        return now >= self._next_commit

    def publish(self, partitions: Collection[Partition], *, within: float | None = None) -> None:
        """Publish what is ready, and settle it: steps 1 to 3. Blocks until the brokers have confirmed all.

        Args:
            partitions: all that are assigned.
            within: seconds; as the settings say if None.

        Raises:
            DeliveryFailed: something was not confirmed; nothing has moved on.
            DeliveryRefused: the group has refused too many transactions in a row.
        """
        # 1. stage
        cuts = [cut for partition in partitions if (cut := partition.stage())]
        if not cuts:
            return
        self._last_publication = self._monotonic()
        outcomes = [outcome for cut in cuts for outcome in cut.outcomes]
        saved = [each for cut in cuts for each in chain.from_iterable(cut.saved)]
        checkpoints = {cut.partition.name: cut.checkpoint for cut in cuts}

        # 2. publish; exactly once, this is step 4 too
        with self._stages("publish") as took:
            rendered = self._renderer.render(outcomes, saved, published_at=self._wall())
            try:
                self._write(rendered, checkpoints, within=within or self._settings.publish_within)
            except DeliveryRefused as refusal:
                self._refusals += 1
                self._telemetry.refused(str(refusal))
                if self._refusals > MAX_REFUSALS:
                    raise
                return
        self._refusals = 0

        # 3. settle
        with self._stages("settle"):
            for cut in cuts:
                cut.partition.settle(cut)
            published_at = self._wall()
            if self._control.target is not None or self._settings.sheds_load:
                overheads = [each.overhead(published_at) for each in outcomes if isinstance(each, Prediction)]
                self._control.published(overheads, took())
            self._telemetry.delivered(outcomes, published_at=published_at)
            if rendered.states:
                self._telemetry.states_dropped(sum(isinstance(each, DroppedState) for each in saved))
            if self._sink.exactly_once:
                for cut in cuts:
                    cut.partition.committed = cut.checkpoint
                self._telemetry.committed(None)

    def _write(self, rendered: Rendered, checkpoints: Mapping[TopicPartition, Checkpoint], *, within: float) -> None:
        if self._sink.exactly_once:
            self._sink.publish(rendered.results + rendered.states, checkpoints, within=within)
            return
        deadline = self._monotonic() + within
        self._sink.publish(rendered.results, checkpoints, within=within)
        if rendered.states:
            self._sink.publish(rendered.states, {}, within=max(0.0, deadline - self._monotonic()))

    def commit(self, partitions: Collection[Partition], *, wait: bool) -> None:
        """Store the checkpoints of these partitions, as far as they have moved: step 4.

        Args:
            partitions: some of those assigned.
            wait: return only once it is answered.
        """
        # 4. commit
        with self._stages("commit"):
            # What a failed commit left out differs from what is committed, and so is said again.
            due = {
                partition.name: checkpoint
                for partition in partitions
                if (checkpoint := partition.checkpoint()) is not None and checkpoint != partition.committed
            }
            if due:
                self._source.commit(due, wait=wait)
        self._telemetry.lag(self._source.lag())
        self._next_commit = Monotonic(self._monotonic() + self._settings.commit_interval)

    def hand_over(self, assigned: Collection[Partition], leaving: Collection[Partition]) -> None:
        """Publish and commit what is ready before partitions go; what took too long is committed without waiting."""
        within = self._settings.hand_over_within
        deadline = self._monotonic() + within
        self.publish(assigned, within=within)
        self.commit(leaving, wait=self._monotonic() < deadline)

    def committed(
        self,
        assigned: Mapping[TopicPartition, Partition],
        stored: Mapping[TopicPartition, Checkpoint],
        error: str | None,
    ) -> None:
        """Remember what the brokers have stored; they may tell of partitions that have gone meanwhile."""
        for name, checkpoint in stored.items():
            if name in assigned:
                assigned[name].committed = checkpoint
        self._telemetry.committed(error)
