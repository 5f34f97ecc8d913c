"""A short form of `make chaos`: real workers on three real brokers, through one of each thing that may happen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.run import Run
from tests.chaos.scenarios import mixed
from tests.chaos.verdict import judge
from worker.local.broker import LocalKafka

NODES = 3


@pytest.fixture(scope="module")
def three_brokers() -> Iterator[LocalKafka]:
    with LocalKafka(NODES) as kafka:
        yield kafka


@pytest.mark.parametrize("mode", ["at_least_once", "exactly_once"])
def test_nothing_is_lost_and_nothing_counted_twice(three_brokers: LocalKafka, mode: str, tmp_path: Path) -> None:
    run = Run(three_brokers, NODES, mode, quick=True, seed=1, folder=tmp_path)
    try:
        mixed(run)
        run.finish()
    finally:
        run.close()
    assert judge(run.stage, run.excuses).faults(mode, run.sent) == []
