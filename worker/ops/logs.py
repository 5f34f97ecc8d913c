"""One log for the worker's own lines and those of its libraries."""

import logging
import re
import sys
from typing import Final

import structlog

_NUMBERS: Final = re.compile(r"\d+")
_MAX_KINDS: Final = 1_000


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


def configure_logs(*, level: str, json: bool) -> None:
    """Write every line to standard error, as text for people or as JSON lines.

    Args:
        level: the lowest level that is shown, such as "info".
        json: write one JSON object per line.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
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
