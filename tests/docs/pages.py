"""What is on a page: its blocks of code and their marks, its links, its headings, and its paragraphs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[2]
FILES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_PARSER: Final = MarkdownIt("commonmark").enable("table")
_MARK: Final = re.compile(
    r"<!-- (?P<kind>not run|fails|before|run by (?P<test>[\w/.]+))(?: `(?P<begins>[^`]+)`)?(?:: (?P<reason>\S.*?))? -->"
)
_MEANT_AS_MARK: Final = re.compile(r"<!--\s*(?:not run|run|fails|before)\b")
HOW_TO_MARK: Final = (
    "write one of <!-- not run: REASON -->, <!-- fails: REASON -->, <!-- run by FILE --> and <!-- before: COMMAND --> "
    "above the block; `WORDS` after the first words limits the mark to the commands that begin with these words"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Says what the test of a page needs to know of a block, or of some of its commands. It stands above the block.

    Attributes:
        kind: `not run` if nothing can run it, `fails` if it must fail here, `run by` if another test runs it.
        begins: the mark is about the commands that begin with this; empty for the whole block.
        reason: why it is not run, or fails; empty for `run by`.
        test: the file that runs it, relative to the repository; empty for all other kinds.
    """

    kind: Literal["not run", "fails", "run by"]
    begins: str = ""
    reason: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        line: number of its first line of code on the page.
        language: what stands behind the fence, such as `sh`.
        before: commands that a reader of this page alone has typed already; the page does not show them.
    """

    line: int
    language: str
    text: str
    marks: tuple[Mark, ...]
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page as its reader sees it.

    Attributes:
        name: its path in the repository.
        links: targets of links and pictures.
        anchors: what a link to a heading of the page may name.
        paragraphs: prose, without tables and headings. A span of code is one word.
        spans: the spans of code.
    """

    name: str
    blocks: tuple[Block, ...]
    links: tuple[str, ...]
    anchors: frozenset[str]
    paragraphs: tuple[str, ...]
    spans: tuple[str, ...]


def read_page(file: Path) -> Page:
    """Read a page of the repository."""
    return page_of(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))


def page_of(name: str, text: str) -> Page:
    """Return what is on a page.

    Raises:
        ValueError: a comment begins as a mark and is none.
    """
    tokens = _PARSER.parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    links = [str(each.attrs[key]) for each in inline for key in ("href", "src") if key in each.attrs]
    in_html = [found for token in [*tokens, *inline] if token.type.startswith("html") for found in _html_links(token)]
    return Page(
        name,
        tuple(_blocks(name, tokens)),
        tuple(links + in_html),
        frozenset(_anchors(tokens)),
        tuple(_paragraphs(tokens)),
        tuple(each.content for each in inline if each.type == "code_inline"),
    )


def _blocks(name: str, tokens: Sequence[Token]) -> Iterator[Block]:
    comments: list[str] = []
    for token in tokens:
        if token.type == "html_block":
            comments += [line.strip() for line in token.content.splitlines()]
            continue
        if token.type == "fence":
            marks, before = _marks(name, comments)
            yield Block((token.map or [0])[0] + 2, token.info.strip(), token.content, tuple(marks), tuple(before))
        comments = []  # a mark stands directly above its block


def _marks(name: str, comments: Sequence[str]) -> tuple[list[Mark], list[str]]:
    """Return the marks that comments are, and the commands that come before a block."""
    marks, before = [], []
    for comment in comments:
        match (found := _MARK.fullmatch(comment)) and found.groups(""):
            case (_, str(test), begins, _) if test:
                marks.append(Mark("run by", begins, test=test))
            case ("before", _, "", str(command)) if command:
                before.append(command)
            case ("not run" | "fails" as kind, _, begins, str(reason)) if reason:
                marks.append(Mark(kind, begins, reason))
            case _ if _MEANT_AS_MARK.match(comment):
                raise ValueError(f"{name}: {comment!r} is no mark: {HOW_TO_MARK}")
    return marks, before


def _html_links(token: Token) -> list[str]:
    return re.findall(r'(?:href|src|srcset)="([^"]+)"', token.content)


def _anchors(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the anchors of headings as GitHub makes them, and those of HTML."""
    seen: dict[str, int] = {}
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(each.content for each in token.children or () if each.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            count = seen[slug] = seen.get(slug, -1) + 1
            yield f"{slug}-{count}" if count else slug
        for html in [token, *(token.children or ())]:
            if html.type.startswith("html"):
                yield from re.findall(r'(?:id|name)="([^"]+)"', html.content)


def _paragraphs(tokens: Sequence[Token]) -> Iterator[str]:
    for before, token in pairwise(tokens):
        if before.type == "paragraph_open" and token.type == "inline":
            yield "".join(map(_as_text, token.children or ()))


def _as_text(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "code_inline":
            return f"`{token.content.replace(' ', '_')}`"
        case "softbreak" | "hardbreak":
            return " "
    return ""
