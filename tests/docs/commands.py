"""Which commands does a page name, and what runs each of them?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.docs.pages import Block, Mark, Page

SHELLS: Final = frozenset({"sh", "bash", "shell", "console"})

NOT_HERE: Final = {
    "docker": "needs Docker",
    "kubectl": "needs a Kubernetes cluster",
    "helm": "needs a Kubernetes cluster",
    "pip install": "installs packages, and tests must not change what they run on",
    "git clone": "needs the network",
    "make": "takes minutes, and begins with an environment of its own",
    r"(?:\.|source) \.venv": "the tests have their own environment",
}
"""What no test can run, by what the command begins with: here these need no mark on the page."""

_COMMENT: Final = re.compile(r"(?:^|\s+)#\s.*$")
_HEREDOC: Final = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page.

    Attributes:
        line: where it begins on the page.
        text: the command without its comment; it may have several lines.
        mark: why it is not run where the page is; None if it is.
    """

    page: str
    line: int
    text: str
    mark: Mark | None

    @property
    def is_run_here(self) -> bool:
        """Whether it is run as a reader of the page runs it."""
        return self.mark is None or self.fails

    @property
    def fails(self) -> bool:
        """Whether it must fail."""
        return self.mark is not None and self.mark.kind == "fails"

    def __str__(self) -> str:
        first, *rest = self.text.splitlines()
        return f"{self.page}:{self.line}: {first}{' ...' if rest else ''}"


def commands_of(page: Page) -> list[Command]:
    """Return the commands of all blocks for a shell, in order."""
    return [command for block in page.blocks if block.language in SHELLS for command in commands_in(page.name, block)]


def commands_in(page: str, block: Block) -> Iterator[Command]:
    """Yield the commands of a block: one a line, but for lines that end in a backslash and for here-documents."""
    lines = iter(enumerate(block.text.splitlines(), start=block.line))
    for number, line in lines:
        command = [_COMMENT.sub("", line)]
        while command[-1].endswith("\\"):
            command.append(_COMMENT.sub("", next(lines)[1]))
        if document := _HEREDOC.search(command[-1]):
            command += _until(document[1], lines)
        if text := "\n".join(command).strip():
            yield Command(page, number, text, _mark_of(text, block))


def _until(end: str, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        yield line
        if line.strip() == end:
            return


def _mark_of(command: str, block: Block) -> Mark | None:
    for mark in block.marks:
        if command.startswith(mark.begins):
            return mark
    for begins, reason in NOT_HERE.items():
        if re.match(rf"(?:\w+=\S+ )*{begins}(?!\w)", command):
            return Mark("not run", begins, reason)
    return None
