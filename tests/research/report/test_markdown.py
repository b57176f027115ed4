"""Foreign text in Markdown stays text: no cell, block, tag, link or emphasis comes of what it holds."""

from html import unescape

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from research.report.markdown import capped, code, fenced, plain, prose, readable, section, table

MARKUP = [
    *(
        "|",
        "`",
        "``",
        "*",
        "__",
        "_a_",
        "[x](u)",
        "![",
        "](",
        "<b>",
        "<!--",
        "&lt;",
        "# ",
        "- ",
        "1. ",
        "```",
    ),
    *("\n", "\r\n", "\n\n", "~~", "$x$", "http://a.b", "www.a.b", "a@b.c", "\\", "\\|", "---", "==="),
    *("\u202e", "\x00", "> ", "```"),
]
TEXTS = st.lists(st.sampled_from(MARKUP) | st.text(max_size=6), max_size=12).map("".join)
INERT = {"text", "code_inline", "text_special"}
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def shown(text: str) -> str:
    """What a reader sees of one paragraph."""
    return "".join(token.content for token in inline(PARSER.parse(text)))


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_text_is_read_as_it_was_written_and_is_nothing_else(text: str) -> None:
    for before in ("", "- ", "said: "):
        line = f"{before}{plain(text)}"
        assert "\n" not in line
        tokens = PARSER.parse(line)
        kinds = {token.type for token in tokens} - {"inline"}
        lists = {"bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close"}
        assert kinds <= {"paragraph_open", "paragraph_close"} | (lists if before == "- " else set())
        assert {token.type for token in inline(tokens)} <= INERT
    seen = readable(text).replace("|", "/")
    assert unescape(shown(f"said: {plain(text)}")) == unescape(f"said: {seen}".rstrip())


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_a_table_keeps_its_shape(first: str, second: str) -> None:
    lines = table(
        ["a", "b", "c"], [[plain(first), code(second), prose(f"{first} `{second}`")], ["1", "2", "3"]]
    )
    html = PARSER.render("\n".join(lines))
    parts = html.count("<table>")
    assert html.count("<tr>") == 3 * parts and html.count("<td>") == 2 * (2 + parts)
    assert not any(
        tag in html for tag in ("<script", "<b>", "<a ", "<img", "<em>", "<strong>", "<s>", "<h1", "<h2")
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_a_code_block_ends_where_it_should(lines: list[str]) -> None:
    tokens = PARSER.parse("\n".join([*fenced(lines), "", "after"]))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[2].content == "after"


def test_sentences_of_the_lab_keep_their_code() -> None:
    said = prose("`optimizer.lr=0.1 a|b` lowers <b>, keeping test/accuracy >= 0.9 by 4 % [1, 2]")
    assert said == "`optimizer.lr=0.1 a/b` lowers &lt;b>, keeping test/accuracy >= 0.9 by 4 % [1, 2]"
    assert prose("an odd ` tick") == "an odd \\` tick"


def test_figures_are_not_escaped() -> None:
    assert plain("-4.388 [-24.74, 21.47] over 10 seeds") == "-4.388 [-24.74, 21.47] over 10 seeds"
    assert plain("- a") == "\\- a" and plain("12. a") == "12\\. a" and plain("2.5 J") == "2.5 J"


def test_long_text_is_cut_and_long_lists_say_what_is_left_out() -> None:
    assert len(readable("x" * 1000)) == 400 and readable("x" * 1000).endswith("…")
    assert capped(["a", "b", "c"], 2, "reasons") == ["a", "b", "- and 1 more reasons"]
    assert section("T", []) == [] and code("") == "-"


def test_a_sentence_is_cut_as_a_whole_and_not_between_its_code() -> None:
    """Each piece between backticks was cut at 400 letters, and the figures at its end were lost."""
    long = f"{'word ' * 120}and its last figure -50 %"
    assert prose(long, 2000) == long and prose(f"`a=1` {long} `b=2`", 2000) == f"`a=1` {long} `b=2`"
    assert len(prose(long, 100)) == 100 and prose(long, 100).endswith("…")
