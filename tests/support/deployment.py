"""Read the files under deploy/ and docker-compose.yml as their users do."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from worker.cli import app
from worker.settings import ENV_PREFIX, Settings, load_settings

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DASHBOARD: Final = DEPLOY / "grafana" / "dashboards" / "vision-worker.json"
RULES: Final = DEPLOY / "prometheus" / "rules.yml"

VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")
"""A variable of docker-compose.yml, and its default."""


def read_yaml(file: Path) -> Any:
    """Return the only document of a file."""
    return yaml.safe_load(file.read_text())


@cache
def compose() -> dict[str, Any]:
    """Return docker-compose.yml with every variable at its default."""
    text = VARIABLE.sub(lambda found: found[2], (ROOT / "docker-compose.yml").read_text())
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def services() -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the last stage of the image, with their arguments."""
    return stages()[-1]


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of every stage."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found = list[list[tuple[str, str]]]()
    for line in filter(None, text.splitlines()):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments.strip()))
    return found


def rules() -> list[dict[str, Any]]:
    """Return the rules of every group."""
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def panel_queries() -> Iterator[tuple[str, str, str]]:
    """Yield title, query and legend of every panel's queries, with Grafana's variables replaced."""
    for panel in panels():
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$camera", ".*")
            yield panel["title"], query, target["legendFormat"]


def settings_of(environment: Mapping[str, object], file: Path | None = None) -> Settings:
    """Return the settings of a worker with only this environment, and a settings file."""
    with pytest.MonkeyPatch.context() as patch:
        _set_environment(patch, environment)
        return load_settings(file)


def understood(arguments: Sequence[str], environment: Mapping[str, object]) -> dict[str, Any]:
    """Return the parsed options of a `vision-worker` command line."""
    command: Any = typer.main.get_command(app)
    rest, context = list(arguments), None
    with pytest.MonkeyPatch.context() as patch:
        _set_environment(patch, environment)
        while hasattr(command, "resolve_command"):
            context = command.make_context(command.name, list(rest), parent=context)
            _, command, rest = command.resolve_command(context, rest)
        return dict(command.make_context(command.name, rest, parent=context).params)


def _set_environment(patch: pytest.MonkeyPatch, environment: Mapping[str, object]) -> None:
    for name in [name for name in os.environ if name.startswith((ENV_PREFIX, "KAFKA_"))]:
        patch.delenv(name)
    for name, value in environment.items():
        patch.setenv(name, str(value))
