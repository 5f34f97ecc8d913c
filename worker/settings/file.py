"""How does a file of settings become values by group? And what is said about one that cannot be read?"""

from pathlib import Path
from typing import Any

import yaml

from worker.domain.errors import SettingsError


class _Loader(yaml.SafeLoader):
    """Reads plain values, and refuses a name that is there twice: YAML would take the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in names:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
            names.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_file(file: Path) -> dict[str, Any]:
    """Read a YAML file of settings.

    Raises:
        SettingsError: it cannot be read, or it is no YAML with groups of settings.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader) or {}  # noqa: S506 it is a SafeLoader
    except OSError as error:
        raise SettingsError([f"--config {file}: {error.strerror}; name a YAML file that this user may read"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"--config {file}: it is not text in UTF-8; name a YAML file"]) from error
    except yaml.MarkedYAMLError as error:
        raise SettingsError([_fault(file, error)]) from error
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise SettingsError([f"--config {file}: it is not YAML: {what}; name a YAML file"]) from error
    if not isinstance(content, dict):
        raise SettingsError([f"--config {file}: it must contain groups of settings, such as 'kafka:' and 'model:'"])
    return content


def _fault(file: Path, error: yaml.MarkedYAMLError) -> str:
    """Return the fault in one line, without the line itself: it may have a password."""
    mark, problem = error.problem_mark or error.context_mark, error.problem or error.context or "it is not YAML"
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    advice = "indent with spaces" if "'\\t'" in problem else "correct this line or the one before it"
    return f"--config {file}{where}: {problem}; {advice}"
