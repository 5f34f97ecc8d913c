import json
import logging
import re
import subprocess
import sys

from worker.ops.logs import RateLimit


def said(text: str, at: float) -> logging.LogRecord:
    record = logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, text, None, None)
    record.created = at
    return record


def test_lines_that_differ_in_their_numbers_only_come_once_in_a_while() -> None:
    limit = RateLimit(period=30.0)
    lines = [
        said("FAIL producer-3: refused after 0 ms", 100.0),
        said("FAIL producer-4: refused after 12 ms", 101.0),
        said("timed out", 102.0),
        said("FAIL producer-3: refused after 7 ms", 129.9),
        said("FAIL producer-3: refused after 0 ms", 130.0),
    ]

    assert [limit.filter(line) for line in lines] == [True, False, True, False, True]


def test_it_forgets_rather_than_grow() -> None:
    limit = RateLimit()
    kinds = [said(f"kind {'x' * number}", 0.0) for number in range(1_500)]

    assert all(limit.filter(line) for line in kinds)
    assert len(limit._last) <= 1_000


def test_our_lines_and_those_of_libraries_go_to_standard_error_in_one_shape() -> None:
    code = """
import logging, warnings, structlog
from worker.ops.logs import configure_logs
configure_logs(level="info", json=True)
structlog.get_logger("worker").info("ours", camera="gate")
for attempt in range(3):
    logging.getLogger("librdkafka").error("attempt %s failed", attempt)
logging.getLogger("librdkafka").debug("too quiet")
warnings.warn("a library's warning")
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]

    assert ran.stdout == ""
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("worker", "info"),
        ("librdkafka", "error"),
        ("py.warnings", "warning"),
    ]
    assert (lines[0]["event"], lines[0]["camera"]) == ("ours", "gate")


def stderr_of(code: str, *, json: bool) -> str:
    """Return what a program logs."""
    head = (
        f"import logging, structlog\nfrom worker.ops.logs import configure_logs\n"
        f"configure_logs(level='info', json={json})\nlog = structlog.get_logger('worker')\n"
    )
    return subprocess.run([sys.executable, "-c", head + code], check=True, capture_output=True, text=True).stderr


def test_people_get_the_time_the_text_and_whether_it_is_bad() -> None:
    code = """
log.info("status", line="12 frames, 1.2/s", frames=12)
log.info("model ready", model="m@1")
log.warning("dead letter", camera="gate", text="it's [odd]")
logging.getLogger("librdkafka").error("attempt failed")
log.info("ready", line="ready: m@1\\n  metrics: http://here")
log.debug("quiet")
"""
    lines = stderr_of(code, json=False).splitlines()

    assert [re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", line) for line in lines] == [
        "TIME 12 frames, 1.2/s",
        "TIME model ready model=m@1",
        "TIME warning: dead letter camera=gate text=it's [odd]",
        "TIME error: librdkafka: attempt failed",
        "TIME ready: m@1",
        "  metrics: http://here",
    ]


def test_programs_get_the_fields_instead_of_the_text_for_people() -> None:
    line = json.loads(stderr_of("log.info('status', line='12 frames, 1.2/s', frames=12)", json=True))

    assert (line["event"], line["frames"], line["logger"]) == ("status", 12, "worker")
    assert "line" not in line
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_shown_to_people_with_its_place() -> None:
    said = stderr_of("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('it failed')", json=False)

    assert "error: it failed" in said
    assert "ZeroDivisionError: division by zero" in said
