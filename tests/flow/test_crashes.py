"""Whatever fails and whenever: after enough restarts every frame has its outcome, and accuracy counts it once."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cluster import PARTITIONS, Cluster, Shot, counts, shots
from tests.support.colours import ColourModel
from tests.support.flow import Flow
from tests.support.samplers import Trail
from worker.adapters.memory import Assign, Event, Lose, MemorySink, Pause, Revoke
from worker.app.compose import EACH_FRAME_ALONE, Sampling
from worker.domain.errors import WorkerError


@dataclass(frozen=True, slots=True)
class Life:
    """One worker between start and end: how much it reads at a time, and what befalls it."""

    chunk: int = 3
    failing_publication: tuple[int, int] | None = None
    failing_call: int | None = None
    rebalance: tuple[int, type[Revoke | Lose]] | None = None
    failing_commits: frozenset[int] = frozenset()
    refusals: frozenset[int] = frozenset()


lives = st.builds(
    Life,
    chunk=st.integers(1, 6),
    failing_publication=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 8)),
    failing_call=st.none() | st.integers(0, 4),
    rebalance=st.none() | st.tuples(st.integers(0, 6), st.sampled_from([Revoke, Lose])),
    failing_commits=st.frozensets(st.integers(0, 8)),
    refusals=st.frozensets(st.integers(0, 8)),
)


def script(cluster: Cluster, life: Life) -> Iterator[Event]:
    """Read both partitions in turn; perhaps lose the first in between, get it back, and read it again."""
    yield Assign(PARTITIONS)
    unread = {partition: cluster.unread(partition) for partition in PARTITIONS}
    step = 0
    while any(unread.values()):
        if life.rebalance is not None and step == life.rebalance[0]:
            yield life.rebalance[1]([PARTITIONS[0]])
            yield Assign([PARTITIONS[0]])
            unread[PARTITIONS[0]] = cluster.unread(PARTITIONS[0])
        partition = PARTITIONS[step % 2]
        yield unread[partition][: life.chunk] or Pause()
        unread[partition] = unread[partition][life.chunk :]
        step += 1


def live(cluster: Cluster, life: Life) -> None:
    """Run one worker until it has read everything or something fails."""
    failures = dict([life.failing_publication]) if life.failing_publication else None
    flow = Flow(
        script(cluster, life),
        sink=MemorySink(
            cluster.published.append,
            failures=failures,
            refusals=life.refusals if cluster.exactly_once else (),
            commit=cluster.committed.update if cluster.exactly_once else None,
        ),
        commit_interval=0.005,
        model=ColourModel(fail_on_call=life.failing_call),
        failing_commits=life.failing_commits,
        published_before=cluster.newest,
        max_frames=4,
        sampling=Sampling(lambda _: Trail({})) if cluster.trail else EACH_FRAME_ALONE,
    )
    flow.source.committed = cluster.committed
    try:
        flow.run()
    except WorkerError:
        return


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
@settings(max_examples=100)
@given(trail=st.booleans(), sent=st.lists(shots, max_size=25), crashes=st.lists(lives, max_size=4))
def test_nothing_is_lost_and_nothing_counts_twice(
    *, exactly_once: bool, trail: bool, sent: list[Shot], crashes: list[Life]
) -> None:
    cluster = Cluster(exactly_once, trail)
    cluster.send(sent)

    for life in [*crashes, Life()]:
        live(cluster, life)

    outcomes = cluster.outcomes()
    assert set(outcomes) == cluster.positions()
    assert counts(cluster.compacted().values()) == cluster.all_by_hand()
    assert cluster.all_is_committed()
    if exactly_once or not crashes:
        assert all(count == 1 for count in outcomes.values())
