"""Parsers of commands whose help is the docstring of the command's file."""

import argparse
from shutil import get_terminal_size
from textwrap import fill


def command_parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose help begins with a docstring: paragraphs are wrapped, indented lines are not."""
    width = min(get_terminal_size().columns, 110)
    blocks = [
        block if block.startswith((" ", "python ")) else fill(block, width, break_on_hyphens=False)
        for block in (docstring or "").strip().split("\n\n")
    ]
    return argparse.ArgumentParser(
        description="\n\n".join(blocks), formatter_class=argparse.RawDescriptionHelpFormatter
    )
