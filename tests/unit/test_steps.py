"""What the demo says while it prepares itself."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from worker.local.display import redraws
from worker.local.steps import Step, Steps, growth_of


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_a_line_fits(width: int) -> None:
    step = Step("Apache Kafka 4.3.1, for this demo", began=10.0, note="at 127.0.0.1:39593")

    assert step.line(12.0, width).cell_len <= width


def test_a_step_counts_the_seconds_until_it_ends() -> None:
    step = Step("model x", began=10.0)
    assert step.line(21.6, 60).plain == "..    12 s  model x"

    step.ended = 23.0
    assert step.line(99.0, 60).plain == "ok    13 s  model x"


def test_without_a_terminal_each_step_is_a_line_without_control_characters() -> None:
    output = io.StringIO()
    with Steps(Console(file=output), str).shown() as steps, steps.step("one") as step:
        step.note = "at b:1"
        with steps.step("two"):
            pass

    assert output.getvalue().splitlines() == ["ok     0 s  two", "ok     0 s  one, at b:1"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {}])
def test_a_file_is_never_drawn_over(variables: dict[str, str]) -> None:
    assert not redraws(Console(file=io.StringIO(), _environ=variables))


def test_a_dumb_terminal_is_not_drawn_over() -> None:
    assert not redraws(Console(file=Terminal(), _environ={"TERM": "dumb"}))
    assert redraws(Console(file=Terminal(), _environ={"TERM": "xterm"}))


def test_in_a_terminal_it_is_a_list_with_a_note() -> None:
    output = Terminal()
    console = Console(file=output, width=60, _environ={"TERM": "xterm"})
    with Steps(console, lambda: "3 MB").shown() as steps, steps.step("one"):
        pass

    assert "one" in output.getvalue()
    assert "3 MB" in output.getvalue()


def test_a_step_that_fails_is_not_called_done() -> None:
    output = io.StringIO()
    with pytest.raises(ValueError, match="no"), Steps(Console(file=output), str).shown() as steps, steps.step("one"):
        raise ValueError("no")

    assert "ok" not in output.getvalue()


def test_only_what_is_added_counts_as_downloaded(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(5_000_000))
    said = growth_of(tmp_path, tmp_path / "not-there-yet")
    assert said() == ""

    (tmp_path / "not-there-yet" / "scratch").mkdir(parents=True)
    (tmp_path / "not-there-yet" / "scratch" / "wheel").write_bytes(bytes(3_000_000))
    assert said().startswith("6 MB downloaded")
