"""Record every fact in telemetry once, and run the real Prometheus to scrape it."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.debian import debian_program
from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction, a_record, a_sample
from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.errors import Reason
from worker.domain.latency import Bounds, LatencyControl
from worker.domain.results import BoxVerdict, DeadLetter, HitCounts, Verdict
from worker.domain.samples import Shown, Skipped
from worker.domain.times import EventMillis
from worker.domain.windows import TumblingWindows
from worker.ops.telemetry import STAGES, Telemetry

_WITHIN: Final = 25.0
_CHECK_EVERY: Final = 0.25


def tell_everything(telemetry: Telemetry) -> None:
    """Record every kind of fact, so that every series of every metric exists; each call increases every counter."""
    telemetry.batch_limits(BatchLimits(0.02, 12), LatencyControl(Bounds(0.2, 0.1, 32, 300.0)))
    telemetry.model_ready(MODEL, "cpu", "eager", warm_up_seconds=0.1)
    for stage in STAGES:
        telemetry.stages_took([(stage, 0.02)])
    window = TumblingWindows(1_000).of(EventMillis(1_000))
    for closed_by in ClosedBy:
        telemetry.batch_closed(Batch(window, (a_sample(),), closed_by, late=True), FRAMES)
    telemetry.model_called([4], limit=32)
    letters = [
        DeadLetter(a_record(), reason, "decode", "ImageUndecodable", "", "", "cam-1", EventMillis(1_000))
        for reason in Reason
    ]
    predictions = [
        a_prediction(a_frame(label="cat"), Verdict(top1=True, top5=True)),
        a_prediction(a_frame(label="no such class")),
        a_prediction(a_frame(), BoxVerdict(HitCounts(1, 1, 1))),
    ]
    telemetry.delivered([*letters, *predictions], published_at=EventMillis(1_500))
    telemetry.delivered([Skipped(a_frame().frame, "late"), Shown(a_frame().frame)], published_at=EventMillis(1_500))
    telemetry.not_drawn(a_frame().frame, ValueError("too large"))
    telemetry.in_flight(1_000)
    telemetry.committed(None)
    telemetry.committed("coordinator not available")
    for event in ("assigned", "revoked", "lost"):
        telemetry.rebalanced(event, [FRAMES], assigned=1)
    telemetry.brokers_answered(unreachable_for=0.0)
    telemetry.lag({FRAMES: 3})


class Prometheus:
    """A running Prometheus, queried through its HTTP API."""

    def __init__(self, address: str, process: "subprocess.Popen[str]") -> None:
        self._address = address
        self._process = process

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        found = self._ask("query", query=expression)["result"]
        assert isinstance(found, list)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health and last error."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return the scraped targets."""
        found = self._ask("targets")["activeTargets"]
        assert isinstance(found, list)
        return found

    def wait(self, until: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        """Repeat an action until a condition holds; fail if it does not hold in time."""
        deadline = time.monotonic() + _WITHIN
        while not self._holds(until):
            assert self._process.poll() is None, "Prometheus has ended"
            assert time.monotonic() < deadline, f"not within {_WITHIN:.0f} s: {self._state()}"
            meanwhile()
            time.sleep(_CHECK_EVERY)

    def _holds(self, until: Callable[[], bool]) -> bool:
        try:
            return until()
        except urllib.error.HTTPError as error:
            if error.code != 503:  # its answer while it starts
                raise
        except urllib.error.URLError:
            pass  # it is not listening yet
        return False

    def _state(self) -> str:
        return json.dumps({"targets": self.targets(), "rules": self.rules()}, indent=1)

    def _ask(self, what: str, **parameters: str) -> Any:
        address = f"{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 a fixed http address
            return json.load(answer)["data"]


@contextmanager
def prometheus_server(config: dict[str, Any], folder: Path) -> Iterator[Prometheus]:
    """Run the real Prometheus with this configuration; its files are written to the folder."""
    file, port = folder / "prometheus.yml", _free_port()
    file.write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                str(debian_program("prometheus", "prometheus")),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Prometheus(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(10)


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the real promtool."""
    tool = debian_program("promtool", "prometheus")
    return subprocess.run([str(tool), *arguments], check=False, capture_output=True, text=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
