"""What the README says of the code is what the code says of itself. `make readme` writes it anew."""

import re
from pathlib import Path

import pytest

from tests.support.readme import README, sections
from worker.cli import app


@pytest.mark.parametrize("name", list(sections()))
def test_a_generated_part_is_up_to_date(name: str) -> None:
    assert sections()[name] in README.read_text(), f"the part {name!r} of the README is old: make readme"


def test_every_file_it_names_is_there() -> None:
    text = README.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    modules = [
        name if name.startswith("tests/") else f"worker/{name}"
        for name in re.findall(r"`(?:worker/)?([a-z_]+/[\w/]+\.py)`", text)
    ]

    assert links
    assert modules
    assert [name for name in links + modules if not Path(README.parent, name).exists()] == []


def test_every_command_it_names_is_one() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.name) for group in app.registered_groups}
    named = set(re.findall(r"vision-worker ([a-z]+)", README.read_text()))

    assert named <= commands
