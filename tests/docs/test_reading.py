"""How pages are read: what is a sentence, a command, a mark, an anchor, a fault."""

import pytest

from tests.docs.commands import commands_of
from tests.docs.examples import faults_of_yaml
from tests.docs.pages import Mark, page_of
from tests.docs.sentences import sentences, too_long, words


def test_sentences_end_where_a_reader_pauses() -> None:
    page = page_of(
        "page.md", "# A heading. Of two\n\nOne, e.g. `a. B`. Two of D. Scharstein!\nThree?\n\n- item\n- two (i.e. it)"
    )

    assert list(sentences(page.paragraphs)) == [
        "One, e.g. `a._B`.",
        "Two of D. Scharstein!",
        "Three?",
        "item",
        "two (i.e. it)",
    ]


def test_tables_blocks_and_comments_are_no_sentences() -> None:
    text = "One.\n\n| a b | c |\n| --- | --- |\n| d. E | f |\n\n<!-- no -->\n\n```sh\nls\n```\n"

    assert list(sentences(page_of("page.md", text).paragraphs)) == ["One."]


def test_a_span_of_code_is_one_word_and_a_dash_is_none() -> None:
    (sentence,) = sentences(
        page_of("page.md", "Run `vision-worker run --config x` [now](x.md) - 2 **times**.").paragraphs
    )

    assert words(sentence) == 5
    assert too_long([sentence], 4) == [f"5 words: {sentence}"]
    assert too_long([sentence], 5) == []


def test_a_command_may_have_several_lines() -> None:
    text = "```sh\n# first\nls -l  # a comment\necho '#' \\\n  b  # c\n\ncat >x <<'END'\na  # b\nEND\npwd\n```\n"

    assert [each.text for each in commands_of(page_of("page.md", text))] == [
        "ls -l",
        "echo '#' \\\n  b",
        "cat >x <<'END'\na  # b\nEND",
        "pwd",
    ]
    assert [each.line for each in commands_of(page_of("page.md", text))] == [3, 4, 7, 10]


def test_a_mark_is_about_the_block_after_it() -> None:
    text = (
        "<!-- not run `ls`: no files -->\n<!-- run by tests/a.py `pwd` -->\n```sh\nls\npwd\nid\n```\n\n"
        "<!-- fails: too early -->\n```sh\nid\n```\n\n<!-- not run: x -->\n\nText.\n\n```sh\nid\n```\n"
    )

    assert [each.mark for each in commands_of(page_of("page.md", text))] == [
        Mark("not run", "ls", "no files"),
        Mark("run by", "pwd", test="tests/a.py"),
        None,
        Mark("fails", reason="too early"),
        None,
    ]


@pytest.mark.parametrize(
    "mark", ["<!-- not run -->", "<!-- not run: -->", "<!-- run tests/a.py -->", "<!--fails: x-->"]
)
def test_a_mark_without_a_reason_is_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="is no mark: write one of"):
        page_of("page.md", f"{mark}\n```sh\nls\n```\n")


def test_what_needs_docker_needs_no_mark() -> None:
    first, second = commands_of(page_of("page.md", "```sh\nA=1 docker compose up\ndockerd\n```\n"))

    assert first.mark == Mark("not run", "docker", "needs Docker")
    assert second.mark is None


def test_anchors_are_those_of_github() -> None:
    page = page_of("page.md", '# A `b` & c: d_e\n\n## Twice\n\n## Twice\n\n<a id="own"></a>\n')

    assert page.anchors == {"a-b--c-d_e", "twice", "twice-1", "own"}


def test_links_are_found_in_markdown_and_in_html() -> None:
    text = '[a](b.md#c) ![d](e.svg) <img src="f.png">\n\n<a href="g.md">h</a>\n\n`[i](j.md)`\n'

    assert set(page_of("page.md", text).links) == {"b.md#c", "e.svg", "f.png", "g.md"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("window: {max_frames: 0}", "window.max_frames"),
        ("window: {no_such: 1}", "window.no_such"),
        ("windows: {max_frames: 1}", "are no settings"),
        ("task: cllip", "cllip"),
        ("preprocessing: {resize: 1}", "crop"),
        ("kafka: {bootstrap_servers: a:1}\n# or\nkafka: {no_such: 1}", "kafka.no_such"),
    ],
)
def test_a_wrong_example_is_found(text: str, fault: str) -> None:
    assert fault in "; ".join(faults_of_yaml(text))


@pytest.mark.parametrize(
    "text",
    [
        "window: {max_frames: 1}",
        "task: clip\nclip: {frames: 2, rate: 1}",
        "apiVersion: v1\n---\nkind: Secret\napiVersion: v1",
    ],
)
def test_a_right_example_has_no_faults(text: str) -> None:
    assert faults_of_yaml(text) == []
