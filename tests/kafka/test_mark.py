"""What is published beyond the committed offset is not published again, by whichever worker comes next."""

from pathlib import Path

import pytest

from tests.support.cameras import pictures
from tests.support.workers import WarmWorker, stage, wait_until
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord

FOR_EVER = {"size_ms": 3_600_000, "linger_ms": 600_000}
"""A window in which a frame waits until its worker dies."""


@pytest.mark.parametrize(
    ("guarantee", "protocol"),
    [("exactly_once", "consumer"), pytest.param("at_least_once", "classic", marks=pytest.mark.thorough)],
)
def test_a_killed_worker_s_mark_is_respected_by_the_next(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        consumer = {"session.timeout.ms": 6_000} if protocol == "classic" else {}
        kafka = on.settings()["kafka"] | {"group_protocol": protocol, "consumer": consumer}
        bad = (("captured-at", b"soon"),)
        on.send(
            [
                OutboundRecord(on.frames, 0, b"slow", pictures(0)[0], ()),
                OutboundRecord(on.frames, 0, b"broken", b"a picture", bad),
                OutboundRecord(on.frames, 0, b"broken", b"another", bad),
            ]
        )
        settings = {"kafka": kafka, "delivery": {"guarantee": guarantee}}
        with WarmWorker(on.settings(**settings, window=FOR_EVER), tmp_path) as first:
            wait_until(lambda: on.checkpoint(0) == Checkpoint(0, frozenset({1, 2})), "the mark is committed")
            first.kill()
        assert len(on.read(on.dead_letters)) == 2

        with WarmWorker(on.settings(**settings), tmp_path) as second:
            on.wait_until_done()
            assert second.stop() == 0
        assert [each.frame.offset for each in on.read_predictions()] == [0]
        assert len(on.read(on.dead_letters)) == 2
        assert on.checkpoint(0) == Checkpoint(3)
