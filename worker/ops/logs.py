"""One log for the worker's own lines and those of its libraries."""

import logging
import re
import sys
from typing import Any, Final

import structlog

_NUMBERS: Final = re.compile(r"\d+")
_MAX_KINDS: Final = 1_000
_OURS: Final = frozenset({"worker", "watchdog"})
"""Loggers whose name tells a person nothing."""
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


class RateLimit(logging.Filter):
    """Limits the rate of lines that differ only in their numbers.

    A client that cannot reach its broker logs every attempt, several times a second.

    Args:
        period: minimum seconds between two such lines.
    """

    def __init__(self, period: float = 30.0) -> None:
        super().__init__()
        self._period = period
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide by the record's own time, not by a clock."""
        kind = _NUMBERS.sub("#", f"{record.name} {record.getMessage()}")
        last = self._last.get(kind)
        if last is not None and record.created - last < self._period:
            return False
        if len(self._last) >= _MAX_KINDS:
            self._last.clear()
        self._last[kind] = record.created
        return True


class ForPeople:
    """Renders a line for people: the time, the level if it is a bad one, the text, and its fields.

    An event with a field `line` is that text alone: its other fields say the same to programs.
    """

    def __init__(self, *, colors: bool) -> None:
        dim, bold, plain = (_DIM, _BOLD, _PLAIN) if colors else ("", "", "")

        def column(key: str, style: str = "", end: str = "") -> structlog.dev.Column:
            shows = structlog.dev.KeyValueColumnFormatter(
                key_style=None, value_style=style, reset_style=plain, value_repr=str, postfix=end
            )
            return structlog.dev.Column(key, shows)

        fields = structlog.dev.KeyValueColumnFormatter(key_style=dim, value_style="", reset_style=plain, value_repr=str)
        self._render = structlog.dev.ConsoleRenderer(
            columns=[
                column("timestamp", dim),
                column("level", bold, ":"),
                column("logger", dim, ":"),
                column("event"),
                structlog.dev.Column("", fields),
            ]
        )

    def __call__(self, logger: Any, name: str, event: structlog.typing.EventDict) -> str:
        """Render a line."""
        if "line" in event:
            shown = ("timestamp", "level", "logger", "exception")
            event = {"event": event["line"], **{key: event[key] for key in shown if key in event}}
        if event.get("level") == "info":
            del event["level"]
        if event.get("logger") in _OURS:
            del event["logger"]
        return self._render(logger, name, event)


def _for_programs(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop the text that says to people what the other fields say."""
    event.pop("line", None)
    return event


def configure_logs(*, level: str, json: bool) -> None:
    """Write every line to standard error, as text for people or as JSON lines.

    Times are those of this machine for people, and UTC in JSON.

    Args:
        level: the lowest level that is shown, such as "info".
        json: write one JSON object per line.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderers: list[structlog.typing.Processor] = (
        [_for_programs, structlog.processors.JSONRenderer()] if json else [ForPeople(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *renderers,
            ],
            foreign_pre_chain=shared,
        )
    )
    clients = logging.getLogger("librdkafka")
    clients.filters = [RateLimit()]
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)


def log_as_library() -> None:
    """Hand the log to the logging of the program that uses this as a library, unless it has configured structlog.

    Unconfigured, structlog would print all lines to standard output, and logging would print warnings: here, results
    say what is wrong with a picture.
    """
    logging.getLogger("worker").addHandler(logging.NullHandler())
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
