"""The processes of the benchmark: contestant scripts and real workers; all end with it."""

import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from tests.benchmarks import sessions
from tests.benchmarks.contestants.environments import jars_of, java_home_of, python_of
from tests.benchmarks.frames import PARTITIONS
from tests.benchmarks.limit import BareLoop
from tests.benchmarks.models import TimedModel
from tests.benchmarks.profiles import Settings
from tests.support.workers import WorkerProcess
from worker.local.guarded import GuardedProcess
from worker.settings import Topics

SCRIPTS: Final = Path(__file__).parent / "contestants"


@dataclass(frozen=True, slots=True)
class Place:
    """The servers, the topics, the group and the log folder of one run."""

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
        """Return a worker's settings; the profile's groups override them."""
        settings: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap_servers": self.servers, "group_id": self.group},
            "topics": self.topics.in_use(),
            "model": {"path": str(model.folder), "profile": "off"},  # tuned settings are passed explicitly
            "ops": {"port": 0, "log_format": "json"},
        }
        return settings | {name: settings.get(name, {}) | dict(group) for name, group in profile.items()}


class Contestant(Protocol):
    """A running process."""

    log: Path

    @property
    def session(self) -> int:
        """Id of the session of all its processes."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    @property
    def working(self) -> bool:
        """Whether it reads frames, if this can be determined."""

    def stop(self) -> int:
        """Stop it, cleanly if it supports that."""


Start = Callable[[Place, TimedModel], Contestant]
StartBare = Callable[[Path, TimedModel], Contestant]
"""Starts a process without Kafka, with its log in a folder."""


class Script:
    """A process with its own command, and all processes that it starts.

    Args:
        command: the command.
        folder: folder of its log.
        environment: additional environment variables.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        name = uuid.uuid4().hex[:8]
        self.log, self._scratch = folder / f"{name}.log", folder / f"{name}.scratch"
        self._scratch.mkdir()
        # What an engine leaves behind in its folder of temporary files goes with it.
        scratch = str(self._scratch)
        own = {"TMPDIR": scratch, "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={scratch}", "SPARK_LOCAL_DIRS": scratch}
        self._process = GuardedProcess(
            [command], log=self.log, scratch=self._scratch, environment=own | dict(environment or {})
        )

    @property
    def session(self) -> int:
        """Id of the session of all its processes."""
        return self._process.pid

    @property
    def working(self) -> bool:
        """Always true: what a script reads is not known."""
        return True

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    def stop(self) -> int:
        """Send SIGTERM, wait until it ends, and kill what it has started and not ended."""
        status = self._process.stop()
        sessions.end(self.session)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return status


class Member(Script):
    """A script that shares the frames with others of its group.

    Args:
        servers: bootstrap servers of the brokers.
        group: the consumer group.
        members: how many there must be in the group.
    """

    def __init__(self, command: Sequence[str], folder: Path, *, servers: str, group: str, members: int) -> None:
        super().__init__(command, folder)
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._group, self._members = group, members

    @property
    def working(self) -> bool:
        """Whether all members have partitions."""
        try:
            found = self._admin.describe_consumer_groups([self._group])[self._group].result()
        except KafkaException:  # the group is not there before its first member
            return False
        reading = [member for member in found.members if member.assignment.topic_partitions]
        return found.state == ConsumerGroupState.STABLE and len(reading) == self._members


class Worker(WorkerProcess):
    """A real worker."""

    @property
    def session(self) -> int:
        """Id of the session of all its processes."""
        assert isinstance(self._process, GuardedProcess)
        return self._process.pid

    @property
    def working(self) -> bool:
        """Whether it has read from a partition that it still owns."""
        return self._find_url() is not None and bool(self.partitions())

    @property
    def resident(self) -> float:
        """Its resident memory in bytes."""
        return self.metrics("process_resident_memory_bytes")[()]

    @property
    def cpu_seconds(self) -> float:
        """Seconds of processor time that it has had, in all its threads."""
        return self.metrics("process_cpu_seconds_total")[()]

    def stage_seconds(self) -> Mapping[str, tuple[float, float]]:
        """Return the total seconds and the number of measurements of each hop so far, by name."""
        sums, counts = self.metrics("stage_seconds_sum"), self.metrics("stage_seconds_count")
        return {stage: (seconds, counts[(stage,)]) for (stage,), seconds in sums.items()}

    def frames(self) -> float:
        """Return the number of frames published so far."""
        return sum(self.metrics("frames_total").values())


def worker(profile: Settings, environment: Mapping[str, str] | None = None) -> Callable[[Place, TimedModel], Worker]:
    """Return a function that starts a worker with these settings and additional environment variables."""
    return lambda place, model: Worker(place.settings(model, profile), place.folder, environment)


def script(name: str, *options: str, python: str = sys.executable) -> Start:
    """Return a function that starts one of the scripts in `contestants` that take an architecture and its weights."""
    return lambda place, model: Script(_script(name, place, model, options, python), place.folder)


def script_on_each_core(name: str, cores: int) -> Sequence[Start]:
    """Return functions that start a script for each core, with a thread each; together they read the topic."""
    count = min(cores, PARTITIONS)

    def start(place: Place, model: TimedModel) -> Member:
        command = _script(name, place, model, ("--threads", "1"), sys.executable)
        return Member(command, place.folder, servers=place.servers, group=place.group, members=count)

    return [start] * count


def quix_streams() -> Start:
    """Return a function that starts the Quix Streams application."""
    return script("quix_streams", python=str(python_of("quixstreams")))


def spark(cores: int) -> Start:
    """Return a function that starts Spark Structured Streaming."""
    return _engine("spark", "spark_streaming", cores)


def flink(cores: int) -> Start:
    """Return a function that starts PyFlink."""
    return _engine("flink", "pyflink_table", cores)


def bare(pictures: Path, loop: BareLoop, *, cores: int) -> StartBare:
    """Return a function that starts the loop without Kafka."""

    def start(folder: Path, model: TimedModel) -> Script:
        options = {"frames": str(pictures), "model": str(model.folder), "parts": str(loop.parts)}
        options |= _bare_options(loop.engine, cores)
        return Script([sys.executable, "-m", f"{_PACKAGE}.bare", *_options(options)], folder)

    return start


def bare_kafka(engine: Mapping[str, Any], *, cores: int) -> Start:
    """Return a function that starts the minimal loop with Kafka, with a stream of the engine for each core."""

    def start(place: Place, model: TimedModel) -> Script:
        options = {"model": str(model.folder), **_bare_options(BareLoop.on(engine, cores=cores).engine, cores)}
        command = [sys.executable, "-m", f"{_PACKAGE}.bare_kafka", *_kafka(place), *_options(options)]
        return Script(command, place.folder)

    return start


@contextmanager
def pinned_to(core: int) -> Iterator[None]:
    """Pin all processes that this thread starts within the block to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_PACKAGE: Final = f"{__package__}.contestants"


def _engine(engine: str, name: str, cores: int) -> Start:
    python, java = str(python_of(engine)), str(java_home_of(engine))
    options = ("--jars", ",".join(map(str, jars_of(engine))), "--cores", str(cores))

    def start(place: Place, model: TimedModel) -> Script:
        environment = {"JAVA_HOME": java, "FLINK_LOG_DIR": str(place.folder)}  # Flink logs to a file of its own
        return Script(_script(name, place, model, options, python), place.folder, environment)

    return start


def _script(name: str, place: Place, model: TimedModel, options: Sequence[str], python: str) -> list[str]:
    network = {"architecture": model.architecture or "", "weights": str(model.file)}
    return [python, str(SCRIPTS / f"{name}.py"), *_kafka(place), *_options(network), *options]


def _kafka(place: Place) -> list[str]:
    names = {"servers": place.servers, "frames": place.frames, "results": place.results, "group": place.group}
    return _options(names)


def _bare_options(engine: Mapping[str, Any], cores: int) -> dict[str, str]:
    return {"engine": json.dumps(dict(engine)), "cores": str(cores)}


def _options(values: Mapping[str, str]) -> list[str]:
    return [part for name, value in values.items() for part in (f"--{name}", value)]
