"""Docstrings, which are written to be read as they are, as the reStructuredText that autodoc takes."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sphinx.application import Sphinx

import convergan

_SECTION = re.compile(r"[A-Z]\w*:")
_MARKUP = re.compile(r"`(?P<code>[^`]+)`|(?P<item>^ *\* )|[\\*|]|(?<=\w)_(?!\w)", re.MULTILINE)
"""Code; what begins an item of a list; what reStructuredText would take for markup, and is none."""


def as_rst(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring: names and code in spans, indented blocks as they are, all else as text.

    A block is indented, comes after a blank line, and belongs to no section such as `Args:`.
    """
    rst: list[str] = []
    in_section = was_literal = False
    for block in _blocks(lines):
        if not block[0].startswith(" "):
            in_section = _SECTION.fullmatch(block[0]) is not None
        is_literal = block[0].startswith("    ") and not in_section
        if is_literal:
            rst += [] if was_literal else ["::", ""]
            rst += [*block, ""]
        else:
            # From the first prompt on a block is an example.
            prompts = (place for place, line in enumerate(block) if line.lstrip()[:4] == ">>> ")
            end = next(prompts, len(block))
            rst += [*_text("\n".join(block[:end])).split("\n"), *block[end:], ""]
        was_literal = is_literal
    return rst


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines between blank ones."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _text(text: str) -> str:
    def marked(match: re.Match[str]) -> str:
        if match["code"]:
            # A word may go on right behind the span.
            goes_on = text[match.end() : match.end() + 1].isalnum()
            return _span(match["code"]) + r"\ " * goes_on
        return match[0] if match["item"] else f"\\{match[0]}"

    return _MARKUP.sub(marked, text)


def _span(code: str) -> str:
    name = code.removeprefix("convergan.")
    if name in convergan.__all__ and name != "__version__":
        return f":py:obj:`~convergan.{name}`"
    return f"``{code}``"


def _convert(
    app: Sphinx, kind: str, name: str, value: object, options: Any, lines: list[str]
) -> None:
    lines[:] = as_rst(lines)
    if kind in ("attribute", "property"):
        # An escaped blank is nothing. Else napoleon takes what comes before the first colon for a type.
        lines.insert(0, r"\ ")


def setup(app: Sphinx) -> dict[str, bool]:
    # Before napoleon, which is at 500 and makes fields of the sections.
    app.connect("autodoc-process-docstring", _convert, priority=400)
    return {"parallel_read_safe": True}
