"""Read the headers of a record one by one, and note every fault on the way."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from worker.domain.records import Headers

MAX_ID_LENGTH: Final = 256
MAX_LABEL_LENGTH: Final = 4096
"""Characters of a label, which may list many classes."""
T = TypeVar("T")


def present(headers: Headers) -> dict[str, bytes]:
    """Return the headers that have a value. An empty or null one is an absent one, and the last of a name counts."""
    return {name: value for name, value in headers if value}


class HeaderReader:
    """Reads headers by name.

    Args:
        headers: those that have a value.

    Attributes:
        headers: the same.
        faults: a text for each header that could not be read, which ends in what to do.
    """

    def __init__(self, headers: Mapping[str, bytes]) -> None:
        self.headers = headers
        self.faults: list[str] = []

    def take(self, name: str, read: Callable[[bytes], T]) -> T | None:
        """Return what `read` makes of a header; None without the header, or if `read` raises a ValueError."""
        raw = self.headers.get(name)
        if raw is None:
            return None
        try:
            return read(raw)
        except ValueError as error:
            self.faults.append(f"header {name!r} is {shown(raw)}: {error}")
            return None


def shown(raw: bytes) -> str:
    """Quote the beginning of a header's value."""
    return repr(raw.decode(errors="backslashreplace")[:80])


def identifier(raw: bytes, longest: int = MAX_ID_LENGTH) -> str:
    """Read a name.

    Args:
        raw: the header's value.
        longest: the most characters.

    Raises:
        ValueError: it is not UTF-8, empty, or longer.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(text) > longest:
        raise ValueError(f"send 1 to {longest} characters, in UTF-8")
    return text


def readable(name: str) -> str:
    """Return a name of the command line or of a file as text that can be sent: with `?` for what is no UTF-8.

    Where the language of the system is not set, Python takes each letter outside ASCII for such bytes.
    """
    try:
        return name.encode(errors="surrogateescape").decode()
    except UnicodeError:
        return name.encode(errors="replace").decode()


def as_identifier(text: str) -> str:
    """Make an identifier of any name, such as that of a file: its end if it is too long, `?` for what is no UTF-8."""
    return readable(text)[-MAX_ID_LENGTH:]


label_text = partial(identifier, longest=MAX_LABEL_LENGTH)
"""Reads a label: one name, or a list of names."""


def positive(raw: bytes) -> int:
    """Read a number of pixels, rows or bytes.

    Raises:
        ValueError: it is not at least 1, in decimal digits.
    """
    if not raw.isdigit() or len(raw) > len(str(2**63)) or int(raw) == 0:
        raise ValueError("send a whole number of at least 1, in decimal digits, such as 640")
    return int(raw)
