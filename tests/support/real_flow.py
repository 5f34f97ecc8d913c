"""A whole worker on the in-memory adapters with a real model, over the records of one partition."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.flow import Flow
from worker.adapters.memory import Assign, Event
from worker.domain.records import Record, TopicPartition
from worker.models.loaded import LoadedModel
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup


def script(partition: TopicPartition, records: Sequence[Record]) -> Iterator[Event]:
    """Assign the partition, and poll three of its records at a time."""
    yield Assign([partition])
    for start in range(0, len(records), 3):
        yield records[start : start + 3]


def flow_over(partition: TopicPartition, records: Sequence[Record], model: LoadedModel, **rest: Any) -> Flow:
    """Run a worker over the records of a partition to their end."""
    decode = frame_decoder(model.preprocessing, ModelGroup(name="any"), Limits())
    return Flow(script(partition, records), model=model, decode=decode, **rest).run()
