"""What people wrote, where Markdown is written: text that has no part in its form, and still reads as plain text."""

from __future__ import annotations

import re

# Some letters may be form wherever they stand. Others only in their place: `_` at an end of a word, and not inside
# `human_lambda`; `[0.1, 0.2]` is an interval, and with an address behind it a link; `< 0.05` is no tag; `#` at the end
# belongs to a heading.
_FORM = re.compile(
    r"[\\`*|~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<=\])[(\[]|(?<=\s)#(?=#*$)"
)
# Up to what begins a heading, a quotation, a list, a rule or the address of a link.
_FIRST = re.compile(r"\d+(?=[.)](?:\s|$))|(?=[#>]|[-+=](?:[\s=-]|$)|\[[^\]]*\]:)")


def plain(text: object) -> str:
    """One line that Markdown takes for text, in a paragraph, an item, a heading or the cell of a table."""
    line = _FORM.sub(r"\\\g<0>", " ".join(str(text).split()))
    found = _FIRST.match(line)
    return f"{line[: found.end()]}\\{line[found.end() :]}" if found else line
