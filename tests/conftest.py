"""Guards for every test: nothing leaks from one test into the next."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import settings


def _drop_line(*_: object) -> NoReturn:
    """Drop all log lines; a test that checks them captures them."""
    raise structlog.DropEvent


structlog.configure(processors=[_drop_line])

# The adapter sets it on first use, which may be in the middle of a test.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Before torch is imported. Test processes share the cores, and there the threads of one operation mostly wait for each
# other: training was twelve times slower with two of them. Programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A profile that was tuned on this machine must not affect tests.
os.environ["VISION_WORKER_MODEL__PROFILE"] = "off"
# Nor must each small model be converted, to compare an engine with torch that the test is not about.
os.environ["VISION_WORKER_MODEL__ENGINE"] = "eager"

# What runs in the background ignores Ctrl-C, and so would the programs that its tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run: a test that fails in CI also fails locally. A longer proof of a change of the stream:
# make test ARGS="tests/flow --hypothesis-profile long".
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=1_000)
settings.load_profile("steady")


@pytest.hookimpl(trylast=True)  # after the folders have marked their tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: the short ones then keep all processes busy until the end."""
    order = {path: rank for rank, marker in enumerate(("slow", "kafka"), start=1) for path in _files(items, marker)}
    items.sort(key=lambda item: -order.get(item.path, 0))


def _files(items: list[pytest.Item], marker: str) -> set[Path]:
    return {item.path for item in items if item.get_closest_marker(marker)}


@pytest.fixture(autouse=True)
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    yield
    changed = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    changed.discard("PYTEST_CURRENT_TEST")
    assert not changed, f"the test changed the environment: {sorted(changed)}"


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    leaked = [each.name for each in threading.enumerate() if each not in before and not each.daemon]
    assert not leaked, f"the test left threads running: {leaked}"
