"""What runs beside the bench: contestants as scripts, and real workers; all end with it."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tests.benchmarks.contestants.quix_environment import quix_python
from tests.benchmarks.models import TimedModel
from tests.benchmarks.profiles import Settings
from tests.support.workers import WorkerProcess
from worker.local.guarded import GuardedProcess
from worker.settings import Topics

SCRIPTS: Final = Path(__file__).parent / "contestants"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run reads and writes, and keeps its logs."""

    servers: str
    topics: Topics
    group: str
    folder: Path

    @property
    def frames(self) -> str:
        """The topic that is read."""
        return self.topics.frames

    @property
    def results(self) -> str:
        """The topic of the predictions."""
        return self.topics.predictions

    def settings(self, model: TimedModel, profile: Settings) -> dict[str, dict[str, Any]]:
        """Return a worker's settings; those of the profile go over them, group by group."""
        settings: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.servers, "group_id": self.group},
            "topics": self.topics.model_dump(),
            "model": {"path": str(model.folder), "profile": "off"},  # what is tuned is handed over by name
            "ops": {"port": 0, "log_format": "json"},
        }
        return settings | {name: settings.get(name, {}) | dict(group) for name, group in profile.items()}


class Contestant(Protocol):
    """Something that runs."""

    log: Path

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    @property
    def working(self) -> bool:
        """Whether it has its share of the frames, as far as can be asked."""

    def stop(self) -> int:
        """End it, in order if it knows how to."""


Start = Callable[[Place, TimedModel], Contestant]
StartBare = Callable[[Path, TimedModel], Contestant]
"""Starts what needs no Kafka, with its log in a folder."""


class Script:
    """A command of its own."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.log = folder / f"{uuid.uuid4().hex[:8]}.log"
        self._process = GuardedProcess([command], log=self.log)
        self.working = True

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    def stop(self) -> int:
        """Send SIGTERM, and wait for its end."""
        return self._process.stop()


class Worker(WorkerProcess):
    """A real worker."""

    @property
    def working(self) -> bool:
        """Whether it has read from a partition that it still holds."""
        return self._find_url() is not None and bool(self.partitions())

    @property
    def resident(self) -> float:
        """Bytes of memory that it holds."""
        return self.metrics("process_resident_memory_bytes")[()]

    @property
    def cpu_seconds(self) -> float:
        """Seconds of processor time that it has had, in all its threads."""
        return self.metrics("process_cpu_seconds_total")[()]

    def stage_seconds(self) -> Mapping[str, tuple[float, float]]:
        """Return what each hop has cost so far, by its name: seconds, and how often they were measured."""
        sums, counts = self.metrics("stage_seconds_sum"), self.metrics("stage_seconds_count")
        return {stage: (seconds, counts[(stage,)]) for (stage,), seconds in sums.items()}

    def frames(self) -> float:
        """Return how many frames are published so far."""
        return sum(self.metrics("frames_total").values())


def worker(profile: Settings, environment: Mapping[str, str] | None = None) -> Callable[[Place, TimedModel], Worker]:
    """Return what starts a worker with these settings, and with these variables on top of our own."""
    return lambda place, model: Worker(place.settings(model, profile), place.folder, environment)


def script(name: str, *options: str, python: str = sys.executable) -> Start:
    """Return what starts one of the scripts in `contestants` that take an architecture with its weights."""

    def start(place: Place, model: TimedModel) -> Script:
        network = {"architecture": model.architecture or "", "weights": str(model.file)}
        command = [python, str(SCRIPTS / f"{name}.py"), *_kafka(place), *_options(network), *options]
        return Script(command, place.folder)

    return start


def quix_streams() -> Start:
    """Return what starts the application of Quix Streams."""
    return script("quix_streams", python=str(quix_python()))


def bare(pictures: Path, engine: Mapping[str, Any], *, cores: int) -> StartBare:
    """Return what starts the loop without Kafka."""

    def start(folder: Path, model: TimedModel) -> Script:
        options = {"frames": str(pictures), "model": str(model.folder), **_bare_options(engine, cores)}
        return Script([sys.executable, "-m", f"{_PACKAGE}.bare", *_options(options)], folder)

    return start


def bare_kafka(engine: Mapping[str, Any], *, cores: int) -> Start:
    """Return what starts the loop with nothing but Kafka."""

    def start(place: Place, model: TimedModel) -> Script:
        options = {"model": str(model.folder), **_bare_options(engine, cores)}
        command = [sys.executable, "-m", f"{_PACKAGE}.bare_kafka", *_kafka(place), *_options(options)]
        return Script(command, place.folder)

    return start


@contextmanager
def pinned_to(core: int) -> Iterator[None]:
    """Let what this thread starts within the block run on one core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_PACKAGE: Final = f"{__package__}.contestants"


def _kafka(place: Place) -> list[str]:
    names = {"servers": place.servers, "frames": place.frames, "results": place.results, "group": place.group}
    return _options(names)


def _bare_options(engine: Mapping[str, Any], cores: int) -> dict[str, str]:
    return {"engine": json.dumps(dict(engine)), "cores": str(cores)}


def _options(values: Mapping[str, str]) -> list[str]:
    return [part for name, value in values.items() for part in (f"--{name}", value)]
