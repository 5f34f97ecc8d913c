"""What pages say holds: their links, names of files, marks, examples and options of commands; and they read well."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlparse

import pytest
import typer

from tests.docs.commands import Command, commands_of
from tests.docs.examples import faults_of_yaml
from tests.docs.pages import FILES, ROOT, Page, read_page
from tests.docs.sentences import limits_of, mean_words, sentences, too_long
from worker.cli import app

PAGES = {page.name: page for page in map(read_page, FILES)}
each_page = pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


@each_page
def test_every_link_leads_somewhere(page: Page) -> None:
    assert [link for link in page.links if not _leads_somewhere(page, link)] == []


@each_page
def test_every_file_it_names_is_there(page: Page) -> None:
    files = [span for span in page.spans if re.fullmatch(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|md|json|ya?ml|toml)", span)]
    made = ("build/",)
    ours = {
        file: place
        for file in files
        for place in (ROOT, ROOT / "worker")
        if (place / file.split("/")[0]).is_dir() and not file.startswith(made)
    }

    assert [file for file, place in ours.items() if not (place / file).exists()] == []


@each_page
def test_its_sentences_are_short(page: Page) -> None:
    found, limits = list(sentences(page.paragraphs)), limits_of(page.name)

    assert too_long(found, limits.longest) == []
    assert mean_words(found) < limits.mean


@each_page
def test_its_examples_are_what_the_worker_takes(page: Page) -> None:
    for block in page.blocks:
        if block.language == "yaml" and not block.marks:
            assert faults_of_yaml(block.text) == [], f"{page.name}:{block.line}"
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")


@each_page
def test_every_mark_is_about_a_command(page: Page) -> None:
    for block in page.blocks:
        for mark in block.marks:
            assert mark.begins in block.text, f"{page.name}:{block.line}: nothing begins with {mark.begins!r}"


@each_page
def test_what_another_test_runs_is_in_that_test(page: Page) -> None:
    for command in commands_of(page):
        if command.mark and command.mark.test:
            test = ROOT / command.mark.test

            assert test.is_file(), f"{command}: there is no {command.mark.test}"
            assert _what(command) in re.findall(r"[\w.-]+", test.read_text()), f"{command}: not in {command.mark.test}"


@each_page
def test_a_command_that_is_not_run_could_be(page: Page) -> None:
    """What nothing runs still has to name commands, options and targets that exist."""
    for command in commands_of(page):
        if not command.is_run_here:
            assert _unknown(command.text) == [], str(command)


def _leads_somewhere(page: Page, link: str) -> bool:
    parts = urlparse(link)
    if parts.scheme:
        return parts.scheme in {"https", "mailto"} and bool(parts.netloc or parts.path)
    file = (ROOT / page.name).parent / parts.path if parts.path else ROOT / page.name
    if not file.resolve().is_relative_to(ROOT) or not file.exists():
        return False
    return not parts.fragment or parts.fragment in _anchors(file)


def _anchors(file: Path) -> frozenset[str]:
    return read_page(file.resolve()).anchors if file.suffix == ".md" else frozenset()


def _what(command: Command) -> str:
    """Return the word that tells what a command does: `train` of `vision-worker train`, `demo` of `make demo`."""
    words = [word for word in command.text.split() if "=" not in word]
    return words[2] if words[:2] == ["python", "-m"] else words[1]


def _unknown(text: str) -> list[str]:
    """Return the names of commands, options and targets that do not exist."""
    words = [word for word in shlex.split(text.replace("\\\n", " "), comments=True) if not re.match(r"\w+=", word)]
    if words[:1] == ["make"]:
        return [word for word in words[1:] if re.fullmatch(r"[a-z]+", word) and word not in TARGETS]
    if words[:1] != ["vision-worker"]:
        return []
    known, rest = typer.main.get_command(app), words[1:]
    while (commands := getattr(known, "commands", None)) and rest:
        if rest[0] not in commands:
            return [rest[0]]
        known, rest = commands[rest[0]], rest[1:]
    options = {name for each in known.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    return [word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options]
