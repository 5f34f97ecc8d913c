"""What is said of where a partition begins, and of what was saved of it."""

from typing import Any

from worker.domain.extents import Restored
from worker.domain.records import TopicPartition


def tell_beginning(log: Any, partition: TopicPartition, restored: Restored) -> None:
    """Log what an operator would not expect; nothing of a partition that goes on where it was."""
    start = restored.start
    log = log.bind(partition=str(partition), from_offset=start.checkpoint.next_offset)
    if start.anew is not None or restored.former:
        log.warning(
            "the partition begins anew: the records that were counted are no longer there; accuracy counts from "
            "zero, and hidden states begin anew",
            reason=start.anew or "what was saved is of another topic, or of offsets beyond the end",
            keys_dropped=restored.former,
        )
    elif restored.is_lost:
        log.warning(
            "frames are committed, and nothing that was saved includes any: accuracy counts from here, and hidden "
            "states begin anew; if the topic of accuracy or of states was deleted, set the group's offset back to "
            "count these frames again"
        )
    if restored.read_again is not None:
        log.info(
            "frames are read again: their predictions are published again, and not counted again; a recurrent "
            "model skips them as published-before",
            to_offset=restored.read_again,
        )
    if restored.left_out_from is not None:
        log.warning(
            "frames are left out: the committed offset was set beyond them, and not by a worker; set it back to "
            "read them",
            left_out_from=restored.left_out_from,
        )
