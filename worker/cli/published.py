"""What a worker has published about files, kept for a report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from worker import wire
from worker.domain.records import OutboundRecord
from worker.settings import Topics

if TYPE_CHECKING:
    from worker.evaluation.named_report import Naming
    from worker.evaluation.report import Evaluated
    from worker.models.manifest import Manifest

T = TypeVar("T")


class Refusal(NamedTuple):
    """A dead letter: the name of its frame, the code of its reason, and what is wrong."""

    frame: str
    reason: str
    text: str


@dataclass(slots=True)
class Published:
    """What the worker has published so far; predictions are kept as bytes, because decoded they take more."""

    topics: Topics = field(default_factory=lambda: Topics(skipped="skipped"))
    predictions: list[bytes] = field(default_factory=list)
    accuracy: dict[bytes | None, bytes] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, record: OutboundRecord) -> None:
        """Take a published record."""
        value = record.value or b""
        if record.topic == self.topics.predictions:
            self.predictions.append(value)
        elif record.topic == self.topics.accuracy:
            self.accuracy[record.key] = value
        elif record.topic == self.topics.skipped:
            self.skipped.append(wire.decode_skipped(value).reason)
        else:
            letter = wire.parse_dead_letter(record)
            frame = wire.frame_id_of(record) or f"{letter.topic}-{letter.partition}-{letter.offset}"
            self.refused.append(Refusal(frame, letter.reason, letter.text))

    @property
    def rejected(self) -> list[str]:
        """The reason of each dead letter."""
        return [each.reason for each in self.refused]

    @property
    def tallies(self) -> list[wire.AccuracyMessage]:
        """The last accuracy of each camera."""
        return [wire.decode_accuracy(each) for each in self.accuracy.values()]

    def messages(self, kind: type[T]) -> Iterator[T]:
        """Yield the predictions of a kind."""
        decoded = (wire.decode_message(each) for each in self.predictions)
        return (each for each in decoded if isinstance(each, kind))


def evaluated(manifest: "Manifest", published: Published, groups: Sequence[str] | None = None) -> "Evaluated":
    """Return the run of a model that predicts one class; `groups` names, by offset, which frames are alike."""
    from worker.evaluation.judged import judged
    from worker.evaluation.report import Evaluated

    rows = judged(published.messages(wire.PredictionMessage), manifest.labels)
    return Evaluated(
        model=manifest.identity,
        task=manifest.task,
        labels=manifest.labels,
        rows=[replace(row, camera=groups[row.offset]) for row in rows] if groups else list(rows),
        accuracy=published.tallies,
        rejected=published.rejected,
        skipped=published.skipped,
    )


def naming(manifest: "Manifest", published: Published, groups: Sequence[str] | None = None) -> "Naming":
    """Return the run of a model that names several classes; `groups` names, by offset, which frames are alike."""
    from worker.evaluation.named_report import Naming, named_rows

    rows = named_rows(published.messages(wire.MultiLabelMessage))
    return Naming(
        model=manifest.identity,
        labels=manifest.labels,
        rows=[replace(row, camera=groups[row.offset]) for row in rows] if groups else list(rows),
        accuracy=published.tallies,
        rejected=published.rejected,
        skipped=published.skipped,
    )
