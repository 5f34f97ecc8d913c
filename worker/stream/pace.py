"""How the loop spends its time and memory."""

from dataclasses import dataclass
from typing import Final

BACKLOG: Final = 4
"""Commit intervals between two publications of a backlog: each costs the brokers about the same whatever is in it, and
what comes of a backlog is late already."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What the loop keeps to.

    Attributes:
        max_in_flight_bytes: encoded bytes read and not settled at which open windows close early.
        commit_interval: seconds between commits.
        publication_interval: seconds between publications; 0 publishes each call of the model as soon as it is over.
        backlog_interval: the same while more frames wait than the model takes.
        publish_within: seconds for one publication; `hand_over_within` before a partition goes.
        idle_poll: longest wait for records, in seconds; bounds how soon a stop is noticed.
    """

    max_in_flight_bytes: int
    commit_interval: float
    publication_interval: float
    backlog_interval: float
    publish_within: float
    hand_over_within: float
    idle_poll: float = 0.2
