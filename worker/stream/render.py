"""Outcomes and saved state as the records that go out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from worker import wire
from worker.domain.records import OutboundRecord
from worker.domain.results import DeadLetter, Outcome, Prediction
from worker.domain.samples import Skipped
from worker.domain.sequences import DroppedState, HiddenState
from worker.domain.tallies import DroppedTally, Tally
from worker.domain.times import EventMillis
from worker.ports import Dropped, Saved


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where each kind of message goes.

    Attributes:
        skipped: None if skipped frames are only counted.
        annotated: pictures with their predictions; None if there are none.
        state: hidden states; None if they are only kept in memory, as for files.
    """

    predictions: str
    accuracy: str
    dead_letters: str
    skipped: str | None = None
    annotated: str | None = None
    state: str | None = None


class Rendered(NamedTuple):
    """The records of one publication.

    Attributes:
        results: for consumers: predictions, their pictures, dead letters, skipped frames and accuracy.
        states: what only workers read, which implies that the results are published.
    """

    results: list[OutboundRecord]
    states: list[OutboundRecord]


class Renderer:
    """Writes messages to the topics they belong to."""

    def __init__(self, topics: OutputTopics, *, worker_version: str) -> None:
        self._topics = topics
        self._worker_version = worker_version

    def render(
        self, outcomes: Iterable[Outcome], saved: Iterable[Saved | Dropped], *, published_at: EventMillis
    ) -> Rendered:
        """Write outcomes and saved states as they go out."""
        topics, records, states = self._topics, list[OutboundRecord](), list[OutboundRecord]()
        for outcome in outcomes:
            match outcome:
                case Prediction():
                    records.append(wire.render_prediction(topics.predictions, outcome, published_at=published_at))
                    if outcome.annotated is not None and topics.annotated is not None:
                        records.append(wire.render_annotated(topics.annotated, outcome, outcome.annotated))
                case DeadLetter():
                    version = self._worker_version
                    records.append(wire.render_dead_letter(topics.dead_letters, outcome, worker_version=version))
                case Skipped() if topics.skipped is not None:
                    records.append(wire.render_skipped(topics.skipped, outcome, published_at=published_at))
        for each in saved:
            match each:
                case Tally():
                    records.append(wire.render_accuracy(topics.accuracy, each, published_at=published_at))
                case DroppedTally():
                    records.append(wire.render_dropped_tally(topics.accuracy, each))
                case _ if topics.state is not None:
                    states.append(_render_state(topics.state, each, published_at=published_at))
        return Rendered(records, states)


def _render_state(topic: str, saved: HiddenState | DroppedState, *, published_at: EventMillis) -> OutboundRecord:
    if isinstance(saved, HiddenState):
        return wire.render_state(topic, saved, published_at=published_at)
    return wire.render_dropped_state(topic, saved)
