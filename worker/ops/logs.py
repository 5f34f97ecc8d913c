"""One log for everything: the worker's own lines and those of the libraries."""

import logging
import re
import sys
from typing import Final

import structlog

_NUMBERS: Final = re.compile(r"\d+")
_KINDS: Final = 1_000


class Sparing(logging.Filter):
    """Lets one of many lines through that differ only in their numbers, once in a while.

    A client that cannot reach its broker says so with every attempt, several times a second.

    Args:
        period: seconds between two such lines.
    """

    def __init__(self, period: float = 30.0) -> None:
        super().__init__()
        self._period = period
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide by the record's own time."""
        kind = _NUMBERS.sub("#", f"{record.name} {record.getMessage()}")
        last = self._last.get(kind)
        if last is not None and record.created - last < self._period:
            return False
        if len(self._last) >= _KINDS:
            self._last.clear()
        self._last[kind] = record.created
        return True


def configure_logs(*, level: str, json: bool) -> None:
    """Send every line to standard error, for people or as JSON lines.

    Args:
        level: the least level that is shown, such as "info".
        json: one JSON object a line, for machines.
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
    clients.filters = [Sparing()]
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
