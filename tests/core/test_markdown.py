"""Whatever somebody wrote is text in Markdown, and reads as it was written."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hilmix.core.markdown import plain

READER = MarkdownIt("gfm-like", {"linkify": False})
SIGNS = st.text(st.sampled_from("ab1 _*`~|\\<>[]()#!&;:.=+-\n\t/?\"'"), max_size=12)


def read(markdown: str) -> tuple[set[str], str]:
    """The kinds of tokens that a reader of Markdown finds, and the text in them."""
    tokens = READER.parse(markdown)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inline]} - {"text_special"}
    return kinds, "".join(child.content for child in inline)


@settings(max_examples=300)
@given(SIGNS)
@example("<b>x</b> <!-- y --> https://x")
@example("&lt; &#60; _a_ __b__ ~~c~~ [d](e) ![f](g) [h][i]")
@example("1. x")
@example("[a]: b")
@example("---")
def test_what_people_write_is_text_and_nothing_else(text):
    written = " ".join(text.split())
    if not written:
        return
    paragraph = {"paragraph_open", "inline", "text", "paragraph_close"}
    assert read(plain(text)) == (paragraph, written)
    kinds, said = read(f"- {plain(text)}")
    assert kinds == paragraph | {"bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close"}
    assert said == written
    assert read(f"# {plain(text)}") == ({"heading_open", "inline", "text", "heading_close"}, written)
    cells = READER.parse(f"| a | b |\n| --- | --- |\n| {plain(text)} | d |\n")
    rows = ["".join(child.content for child in cell.children) for cell in cells if cell.type == "inline"]
    assert rows == ["a", "b", written, "d"]


@pytest.mark.parametrize(
    "text", ["human_lambda_shrunk, 0.72 [0.70, 0.73]", "CE ↓ p < 0.05", "−0.3 (2 − 1), R&D", "-0.3", "3.5 GB"]
)
def test_what_is_no_form_stays_as_it_is(text):
    assert plain(text) == text
