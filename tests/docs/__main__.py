"""Tell how each page reads, and what runs its commands: `python -m tests.docs [docs/video.md ...]`."""

import sys
from collections.abc import Iterator, Sequence

from tests.docs.commands import Command, commands_of
from tests.docs.pages import FILES, Page, read_page
from tests.docs.sentences import limits_of, mean_words, sentences, too_long, words


def report_of(page: Page) -> Iterator[str]:
    """Yield the lines about a page."""
    found, limits = list(sentences(page.paragraphs)), limits_of(page.name)
    longest = max(map(words, found), default=0)
    yield (
        f"{page.name}: {len(found)} sentences, {mean_words(found):.1f} words on average (below {limits.mean:g}), "
        f"{longest} at most ({limits.longest})"
    )
    for sentence in too_long(found, limits.longest):
        yield f"  too long: {sentence}"
    for command in commands_of(page):
        yield f"  {_coverage(command):<30} {command}"


def _coverage(command: Command) -> str:
    mark = command.mark
    if mark is None:
        return "run"
    return f"{mark.kind} {mark.test}" if mark.test else f"{mark.kind}: {mark.reason}"


def main(names: Sequence[str]) -> None:
    """Print the report of the pages that are named, or of all."""
    for page in map(read_page, FILES):
        if not names or page.name in names:
            sys.stdout.write("\n".join(report_of(page)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
