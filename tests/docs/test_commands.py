"""Every command of every page runs, from top to bottom, as its reader types it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.commands import SHELLS, commands_in
from tests.docs.pages import FILES, Block, Page, read_page
from tests.docs.session import Session
from tests.docs.surroundings import empty, environment, fill_folder, make_cache, send_frames
from tests.support.workers import wait_until

# A page takes a minute on an idle machine; on a busy one, each command waits for its turn.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1200)]

PAGES = [
    pytest.param(page, id=page.name, marks=[] if page.name == "README.md" else pytest.mark.thorough)
    for page in map(read_page, FILES)
    if any(block.language in SHELLS for block in page.blocks)
]
"""`make test` follows the page that everybody reads, `make thorough` all of them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with a Kafka that `vision-worker kafka up` has started."""

    brokers: str
    cache: Path


@dataclass(frozen=True, slots=True)
class WorkerPages:
    """What a worker says of itself over HTTP."""

    port: int

    def ready(self) -> bool:
        """Tell whether it serves frames."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def frames(self) -> float:
        """Return how many frames have an outcome."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "vision_worker_frames_total"
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    cache = make_cache(tmp_path_factory.mktemp("machine") / "cache")
    try:
        _kafka(cache, "up")
        state = json.loads((cache / "local-kafka" / "running.json").read_text())
        yield Machine(state["bootstrap_servers"], cache)
    finally:
        _kafka(cache, "down")


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_can_run_what_a_page_says(page: Page, machine: Machine, tmp_path: Path) -> None:
    folder, state, port = tmp_path / "folder", tmp_path / "state", _free_port()
    for each in (folder, state):
        each.mkdir()
    fill_folder(folder, machine.brokers)
    empty(machine.brokers)

    pages = WorkerPages(port)
    with Session(folder, state, environment(machine.cache), machine.brokers, port, pages.ready) as session:
        for block in page.blocks:
            _follow(page.name, block, session, pages)


def _follow(page: str, block: Block, session: Session, pages: WorkerPages) -> None:
    """Do what a reader does with a block: write the file that it shows, or run its commands."""

    def run(command: str, *, fails: bool = False) -> None:
        session.run(command, fails=fails)
        if "vision-worker run" in command:
            sent = send_frames(session.brokers)
            wait_until(lambda: pages.frames() >= sent, "the worker has dealt with all frames", every=0.1)

    for command in block.before:
        run(command)
    first = block.text.splitlines()[0] if block.text else ""
    if block.language == "yaml" and first.startswith("# ") and first.endswith(".yaml"):
        (session.folder / first.removeprefix("# ")).write_text(session.written(block.text))
    if block.language == "python" and not block.marks:
        run(f"python - <<'END'\n{block.text}END")
    for each in commands_in(page, block) if block.language in SHELLS else ():
        if each.is_run_here:
            run(each.text, fails=each.fails)


def _kafka(cache: Path, what: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    command = [sys.executable, "-m", "worker", "kafka", what]
    subprocess.run(command, env={**variables, "VISION_WORKER_CACHE": str(cache)}, check=True, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
