"""Which class names does a new model get? Its maker's, then torchvision's own, then those in its checkpoint."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from worker.domain.errors import ModelUnavailable
from worker.models.checkpoint_notes import CheckpointNotes
from worker.models.labels import LabelsFault, labels_from
from worker.models.manifest_checks import ONE_CLASS
from worker.models.manifest_fields import NAMELESS, TaskName
from worker.models.torchvision_weights import PublishedWeights

NUMBERS: Final = "numbers"
"""Given instead of a file, it calls classes by their index."""
_PLAIN: Final = re.compile(r"[^\W\d](.*\S)?")
_WITH_BACKGROUND: Final = frozenset({"detect", "segment"})


class Labels(NamedTuple):
    """The class names of a new model.

    Attributes:
        names: by index.
        source: where they come from, as one phrase.
    """

    names: Sequence[str]
    source: str

    @property
    def file(self) -> str:
        """The name of their file: JSON where a line of text could be read as something else than a name."""
        return "labels.txt" if all(map(_PLAIN.fullmatch, self.names)) else "labels.json"

    @property
    def text(self) -> str:
        """The content of their file."""
        if self.file == "labels.txt":
            return "".join(f"{name}\n" for name in self.names)
        return json.dumps(list(self.names), indent=0, ensure_ascii=False) + "\n"


def choose_labels(
    what: str,
    told: str | None,
    *,
    task: TaskName,
    classes: int | None,
    notes: CheckpointNotes,
    published: PublishedWeights | None,
) -> Labels:
    """Choose the names, as many as the network has outputs.

    Args:
        what: the file's name, for messages.
        told: a file of labels, or `NUMBERS`.
        task: a task without classes gets no names.
        classes: the number of the network's outputs; None of a program.
        notes: what the checkpoint says.
        published: of a file that torchvision publishes.

    Raises:
        ModelUnavailable: nobody names the classes, or there is another number of them.
    """
    if task in NAMELESS:
        return Labels((), "")
    # One score is for two classes, no and yes.
    needed = 2 if classes == 1 and task in ONE_CLASS else classes
    labels = _found(what, told, needed, notes, published)
    if needed is None or len(labels.names) == needed:
        return labels
    remedy = "give a file with a name for each, in the order of the training"
    if task in _WITH_BACKGROUND and len(labels.names) == needed - 1:
        remedy = "the first one is the background, so put a line such as __background__ before the others"
    elif classes == 1:
        remedy = "give two names, first of no, then of yes"
    raise ModelUnavailable(f"there are {len(labels.names)} {labels.source}, and {what} needs {needed}: {remedy}")


def _found(
    what: str, told: str | None, needed: int | None, notes: CheckpointNotes, published: PublishedWeights | None
) -> Labels:
    if told is not None and told != NUMBERS:
        try:
            return Labels(labels_from(Path(told)), f"names from {told}")
        except LabelsFault as error:
            raise ModelUnavailable(f"--labels: {error}") from error
    if told == NUMBERS and needed is not None:
        return Labels([f"class-{number}" for number in range(needed)], "numbers instead of names, as you said")
    if published is not None:
        return Labels(published.labels, f"names of torchvision's {published.member}")
    found = {each.value: each.place for each in notes.labels}
    if len(found) == 1:
        ((names, place),) = found.items()
        return Labels(names, f"names from {place} in {what}")
    reason = f"has different class names at {' and '.join(found.values())}" if found else "does not name its classes"
    outputs = "a name for each class" if needed is None else f"{needed} names"
    later = f", or --labels {NUMBERS} to see something before you have the names" if needed is not None else ""
    raise ModelUnavailable(
        f"{what} {reason}: give --labels FILE with {outputs}, one a line, in the order of the training{later}"
    )
