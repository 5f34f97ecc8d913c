"""What docs/architecture.md says of the code is what the code says of itself."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.test_imports import ALLOWED_WITHIN

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:worker|tests|schemas|docs)/[\w/.-]+)`", TEXT)))
NAMED = sorted(set(re.findall(r"`(worker/[\w/]+\.py)`, `(\w+(?:\.\w+)?)`", TEXT)))
ROOMS = dict(re.findall(r"^\| `worker/(\w+)(?:\.py)?` \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("path", PATHS)
def test_what_it_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_name_is_defined_in_its_file(path: str, name: str) -> None:
    scope: ast.AST = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for part in name.split("."):
        found = [each for each in ast.walk(scope) if getattr(each, "name", None) == part]
        assert found, f"{path} has no {name}"
        scope = found[0]


def test_it_names_files_and_names() -> None:
    assert len(PATHS) > 30
    assert len(NAMED) > 15


def test_every_room_is_in_the_table() -> None:
    rooms = {rule.split(".")[1] for rule in ALLOWED_WITHIN if rule.startswith("worker.")} - {"__main__"}

    assert ROOMS.keys() == rooms


@pytest.mark.parametrize(
    "room",
    [
        "ports",
        "wire",
        "sampling",
        "tasks",
        "state",
        "media",
        "ops",
        "models",
        "adapters",
        "views",
        "data",
        "training",
        "evaluation",
        "api",
    ],
)
def test_a_room_imports_what_its_row_says(room: str) -> None:
    allowed = {rule.split(".")[1] for rule in ALLOWED_WITHIN[f"worker.{room}"]} - {room}

    assert set(ROOMS[room].split(", ")) == allowed
