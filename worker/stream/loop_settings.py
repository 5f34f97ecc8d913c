"""How the loop gathers frames and spends its time and memory."""

from dataclasses import dataclass
from typing import Final

from worker.domain.latency import Bounds

BACKLOG: Final = 4
"""Commit intervals between two publications of a backlog: each costs the brokers about the same whatever is in it, and
the results of a backlog are late already."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the loop keeps to.

    Attributes:
        window: milliseconds of a tumbling window of capture time.
        lateness: milliseconds that a window stays open after its end.
        bounds: between which linger and frames of a batch move.
        max_failed_share: share of the last frames that the model may fail on before the worker stops.
        max_in_flight_bytes: encoded bytes read and not settled at which open windows close early.
        commit_interval: seconds between commits.
        publication_interval: seconds between publications; 0 publishes each call of the model as soon as it is over.
        backlog_interval: the same while more frames wait than the model takes.
        publish_within: seconds for one publication.
        hand_over_within: seconds for the last publication before a partition goes.
        sheds_load: samples may be left out while the worker does not keep up.
        awaits_silence: something is decided by a camera's silence.
        idle_poll: longest wait for records, in seconds; bounds how soon a stop is noticed.
    """

    window: int
    lateness: int
    bounds: Bounds
    max_failed_share: float
    max_in_flight_bytes: int
    commit_interval: float
    publication_interval: float
    backlog_interval: float
    publish_within: float
    hand_over_within: float
    sheds_load: bool = False
    awaits_silence: bool = False
    idle_poll: float = 0.2
