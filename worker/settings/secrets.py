"""Values that do not stand in the settings themselves: they are read from a file, or from a variable."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

HOW: Final = "write {file: PATH} or {env: NAME}"


class Secret(str):
    """A text that was read from elsewhere. What is printed of it says where, and never the text.

    Attributes:
        source: `file` with its path, or `env` with the name of a variable.
    """

    __slots__ = ("source",)
    source: Mapping[str, str]

    def __new__(cls, text: str, source: Mapping[str, str]) -> Self:
        """Keep a text with its source."""
        made = super().__new__(cls, text)
        made.source = source
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, str]]:  # type: ignore[override]
        """Return what a copy is made of."""
        return str(self), self.source

    def __repr__(self) -> str:
        return repr(self.source)


def read_secret(source: Mapping[Any, Any]) -> Secret:
    """Read a value; line ends behind it are left out, because editors and `echo` write one.

    Args:
        source: `{"file": path}` or `{"env": name}`.

    Raises:
        ValueError: the source has another form, cannot be read, or is empty; the text says what to do.
    """
    match dict(source):
        case {"file": str(path), **others} if not others:
            where, text = f"file {path}", _from_file(path)
        case {"env": str(name), **others} if not others:
            where, text = f"environment variable {name}", _from_environment(name)
        case _:
            raise ValueError(HOW)
    if not (text := text.rstrip("\r\n")):
        raise ValueError(f"{where} is empty: write the value into it")
    return Secret(text, {key: str(value) for key, value in source.items()})


def _from_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"file {path} cannot be read: {error.strerror}; correct the path, or let this user read the file"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"file {path} is not UTF-8: write the value as text") from error


def _from_environment(name: str) -> str:
    if name not in os.environ:
        raise ValueError(f"environment variable {name} is not set: set it, or correct its name")
    return os.environ[name]
