"""docs/python.md: its examples give what the page says, with real weights and real pictures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.surroundings import fill_folder

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_its_examples_give_what_it_says(tmp_path: Path) -> None:
    fill_folder(tmp_path, brokers="localhost:9092")
    text = re.sub(r"^```.*$", "", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / PAGE.name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "doctest", PAGE.name]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert text.count(">>> ") > 20
