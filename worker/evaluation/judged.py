"""What the worker published, as rows to count: the truth of each labelled frame, and what the model said."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from worker.tasks.class_names import ClassNames
from worker.wire import PredictionMessage


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction of classes that was compared with a label.

    Attributes:
        offset: of the frame that carries it.
        camera: who took it.
        frame_id: the frame's name.
        truth: the class of the label. Where the label names several, the predicted one if it is among them.
        predicted: the most likely class.
        probability: of the predicted class.
        top5: the label is among the five most likely.
    """

    offset: int
    camera: str
    frame_id: str
    truth: int
    predicted: int
    probability: float
    top5: bool

    @property
    def right(self) -> bool:
        """Whether the most likely class is the label."""
        return self.truth == self.predicted


def judged(messages: Iterable[PredictionMessage], labels: Sequence[str]) -> Iterator[Judged]:
    """Yield the predictions that the worker has compared with a label, in the order of the messages.

    Args:
        messages: of classes: those of the tasks classify, clip and recurrent.
        labels: the model's class names by index.
    """
    names = ClassNames(labels)
    for message in messages:
        if message.correct is None or message.label is None:
            continue
        truths, best = names.indices(message.label), message.classes[0]
        yield Judged(
            offset=message.frame.offset,
            camera=message.frame.camera,
            frame_id=message.frame.id,
            truth=best.index if best.index in truths else min(truths),
            predicted=best.index,
            probability=best.probability,
            top5=message.correct.top5,
        )
