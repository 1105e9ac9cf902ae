"""Tables of the documentation: Markdown between a comment with the table's name and one that ends it."""

import re
from collections.abc import Callable, Iterable, Sequence

_BLOCK = re.compile(r"(<!-- table: ([\w -]+) -->\n)(.*?)(<!-- end -->)", re.S)


def filled(page: str, table: Callable[[str], str]) -> str:
    """The page with each of its tables replaced by the text that a function returns for its name."""
    return _BLOCK.sub(lambda block: f"{block[1]}{table(block[2])}{block[4]}", page)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """A table, with a note below if there is one."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(["", note] if note else []), ""])
