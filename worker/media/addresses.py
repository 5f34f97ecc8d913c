"""The address of a camera, and what of it may be shown: never its user, password, query or fragment."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from worker.domain.errors import SettingsError

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")

_ENCODE: Final = "write @ / ? # and : in a user or password, and @ elsewhere, as %40 %2F %3F %23 and %3A"
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._]+")


def is_address(source: str) -> bool:
    """Tell whether a source is meant as an address of `SCHEMES`; the address may still be wrong."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def check_address(address: str) -> None:
    """Refuse an address whose user and password cannot be told from its host and path for certain.

    Raises:
        SettingsError: what is wrong with it; the text does not quote the address.
    """
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number may be a piece of a password, which the exception's text quotes
        usable = False
    if not usable or address.count("@") != parts.netloc.count("@") or parts.netloc.count("@") > 1:
        raise SettingsError([f"an address is not SCHEME://USER:PASSWORD@HOST:PORT/PATH: {_ENCODE}"])


def shown_address(address: str) -> str:
    """Return the scheme, host, port and path of an address that `check_address` accepts, for people.

    Some cameras take user and password as `NAME=VALUE` in the path: such parts of the path are left out too.
    """
    parts = urlsplit(address)
    return "/".join([f"{parts.scheme}://{_host(parts)}", *_path(parts)])


def camera_of(address: str) -> str:
    """Return a camera id made of the host and path of an address that `check_address` accepts."""
    parts = urlsplit(address)
    return "-".join(filter(None, (_tidy(part) for part in (_host(parts), *_path(parts)))))


def hide_address(source: str) -> str:
    """Return how to quote a source that is no address of `SCHEMES` but may be meant as one."""
    return "one that looks like an address" if "@" in source or "://" in source else repr(source)


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _path(parts: SplitResult) -> list[str]:
    return [segment for segment in parts.path.split("/") if segment and "=" not in segment]


def _tidy(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text).strip("-")
