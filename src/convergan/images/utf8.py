"""Checks that names can be written in UTF-8, into a manifest, a CSV or a report."""

from collections.abc import Iterable

from convergan.errors import UserError, is_utf8, shortened


def require_utf8(names: Iterable[str], what: str) -> None:
    """Refuses names with lone surrogates, as the bytes of a file's name that are no UTF-8 are read.

    Args:
        names: names that are going to be written.
        what: what is named so, such as "a file".

    Raises:
        UserError: one of the names cannot be written as UTF-8; shows it.
    """
    names = list(names)
    if is_utf8("".join(names)):
        return
    for name in names:
        if not is_utf8(name):
            raise UserError(
                f"{shortened(name)}: expected the name of {what} in UTF-8, got bytes that are none;"
                " rename it"
            )
