"""The only list of topics, and of the configuration that each needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from worker.settings.base import Group

HEADERS: Final = 16 * 1024
"""Bytes that a dead letter's headers add to its frame, with a long stack trace."""

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The worker's requirements for a topic.

    Attributes:
        direction: whether the worker reads or writes the topic.
        content: the content of a record; None if the topic's name says it.
        lost_unless_compacted: what is lost if old records are deleted; None if the topic need not be compacted. What is
            compacted is also read back after a restart.
        lost_if_compacted: what is lost if only the newest record of each camera is kept; None if nothing depends on it.
        partitions_as_frames: whether it needs at least as many partitions as the topic of frames, because a result goes
            to the partition number of its frame.
        room_for_frames: whether a record may be as large as the largest frame plus `HEADERS`: it is that frame, or a
            picture made of it.
    """

    direction: Literal["input", "output"]
    content: str | None = None
    lost_unless_compacted: str | None = None
    lost_if_compacted: str | None = None
    partitions_as_frames: bool = False
    room_for_frames: bool = False

    def __str__(self) -> str:
        facts = [
            self.content,
            "compacted" if self.cleanup_policy == "compact" else None,
            "at least as many partitions as frames" if self.partitions_as_frames else None,
        ]
        return f"{self.direction}: {', '.join(filter(None, facts))}"

    @property
    def cleanup_policy(self) -> str | None:
        """The required `cleanup.policy`; None means that any is accepted."""
        return "compact" if self.lost_unless_compacted else None

    @property
    def rights(self) -> tuple[str, ...]:
        """What a worker's user must be allowed to do with the topic, in Kafka's words."""
        if self.direction == "input":
            return ("READ",)
        return ("READ", "WRITE") if self.lost_unless_compacted else ("WRITE",)


NEEDS: Final[Mapping[str, Needs]] = {
    "frames": Needs(
        direction="input",
        content="encoded pictures",
        lost_if_compacted="older frames of a camera, before they are read,",
    ),
    "predictions": Needs(direction="output", partitions_as_frames=True),
    "accuracy": Needs(direction="output", lost_unless_compacted="counts", partitions_as_frames=True),
    "dead_letters": Needs(
        direction="output",
        content="frames that could not be processed",
        lost_if_compacted="older dead letters of a camera",
        room_for_frames=True,
    ),
    "skipped": Needs(
        direction="output",
        content="which frames were left out, and why",
        lost_if_compacted="older notes about a camera",
        partitions_as_frames=True,
    ),
    "annotated": Needs(
        direction="output",
        content="JPEGs with the predictions drawn on them",
        partitions_as_frames=True,
        room_for_frames=True,
    ),
    "state": Needs(
        direction="output",
        content="hidden states of a recurrent model",
        lost_unless_compacted="hidden states",
        partitions_as_frames=True,
    ),
}
"""The requirements by name of the setting, which is a field of `Topics`."""

REPLAY_MARKS: Final = Needs(
    direction="output",
    content="which dead letters were replayed",
    lost_unless_compacted="marks of replayed dead letters",
)
"""The requirements for the topic of `replay_marks`, which no setting names."""


class TopicSpec(NamedTuple):
    """A topic to create.

    Attributes:
        config: the topic's configuration under Kafka's own names; the broker's defaults apply to the rest.
    """

    name: str
    partitions: int
    config: dict[str, str]


class Topics(Group):
    """The input topic and the output topics."""

    frames: TopicName = Field("frames", description=str(NEEDS["frames"]))
    predictions: TopicName = Field("predictions", description=str(NEEDS["predictions"]))
    accuracy: TopicName = Field("accuracy", description=str(NEEDS["accuracy"]))
    dead_letters: TopicName = Field("dead-letters", description=str(NEEDS["dead_letters"]))
    skipped: TopicName | None = Field(None, description=f"{NEEDS['skipped']}; unset: they are only counted")
    annotated: TopicName | None = Field(None, description=f"{NEEDS['annotated']}; unset: none are made")
    state: TopicName | None = Field(
        None, description=f"{NEEDS['state']}; models of the task recurrent need it, no others"
    )

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        roles: dict[str, list[str]] = {}
        for role, name in self.in_use().items():
            roles.setdefault(name, []).append(f"topics.{role}")
        roles.setdefault(replay_marks(self.dead_letters).name, []).append("the marks of replayed dead letters")
        shared = [f"{' and '.join(them)} are both {name!r}" for name, them in roles.items() if len(them) > 1]
        if shared:
            raise ValueError(f"{'; '.join(shared)}: give each a topic of its own")
        return self

    def in_use(self) -> dict[str, str]:
        """Return the names of the topics in use, by setting."""
        return {role: name for role, name in self.model_dump().items() if name is not None}

    @classmethod
    def with_prefix(cls, prefix: str) -> Self:
        """Return topics with their default names after a prefix, PREFIX-frames and so on; those unset stay unset."""
        return cls.model_validate({role: f"{prefix}-{name}" for role, name in cls().in_use().items()})

    def specs(self, *, partitions: int, largest_frame: int | None = None) -> list[TopicSpec]:
        """Return the topics with the configuration that the worker needs.

        Args:
            partitions: number of partitions of each topic.
            largest_frame: bytes of the largest accepted frame; None leaves all sizes to the broker.
        """
        return [TopicSpec(name, partitions, _config(role, largest_frame)) for role, name in self.in_use().items()]


def _config(role: str, largest_frame: int | None) -> dict[str, str]:
    needs, config = NEEDS[role], dict[str, str]()
    if needs.cleanup_policy:
        config["cleanup.policy"] = needs.cleanup_policy
    if largest_frame and role == "frames":
        config["max.message.bytes"] = str(largest_frame)
    if largest_frame and needs.room_for_frames:
        config["max.message.bytes"] = str(largest_frame + HEADERS)
    return config


def replay_marks(dead_letters: str) -> TopicSpec:
    """Return the topic of marks, which record the replayed dead letters; the first replay creates it."""
    return TopicSpec(f"{dead_letters}-replayed", 1, {"cleanup.policy": "compact"})
