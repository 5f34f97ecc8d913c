"""The whole worker in virtual time when more comes than its model takes: when results are published."""

from itertools import pairwise

import pytest

from tests.support.virtual import Machine, VirtualWorker, regular

CAPACITY = Machine().capacity(32)
BURST = 2.0
OVER = 3.5
CALL = 0.12
"""Seconds: a call of 32 frames takes a tenth, and publishing the rest."""


def pauses(target: float | None) -> list[tuple[float, float]]:
    """Return when each publication began, with the time to the next; a second's work comes at once meanwhile."""
    taken = sorted([*regular(0.3 * CAPACITY, 0, 6), *[BURST] * int(CAPACITY)])
    publications = VirtualWorker(taken, target).run().broker.publications
    return [(begun, following - begun) for begun, following in pairwise(publications)]


def test_a_backlog_is_published_in_few_large_parts_and_what_follows_at_once() -> None:
    found = pauses(None)

    assert sum(BURST < begun < BURST + 1 for begun, _ in found) <= 5
    assert 0.4 <= max(pause for begun, pause in found if BURST - CALL < begun < OVER) <= 0.4 + 2 * CALL
    assert max(pause for begun, pause in found if begun < BURST - CALL) < 2 * CALL
    assert max(pause for begun, pause in found if begun > OVER) < 2 * CALL


@pytest.mark.parametrize("target", [0.1, 0.5])
def test_under_a_latency_target_a_backlog_is_published_call_by_call(target: float) -> None:
    assert max(pause for begun, pause in pauses(target) if BURST < begun < OVER) < 2 * CALL
