"""Check that names can be written in UTF-8, into a manifest, a CSV or a report."""

from collections.abc import Iterable

from convergan.errors import UserError, is_utf8, shortened


def require_utf8(names: Iterable[str], kind: str) -> None:
    """Refuse names with lone surrogates, which stand for bytes of a file's name that are not UTF-8.

    Args:
        names: names that will be written.
        kind: kind of thing that the names belong to, such as "a file".

    Raises:
        UserError: one of the names cannot be written as UTF-8; shows it.
    """
    names = list(names)
    if is_utf8("".join(names)):
        return
    for name in names:
        if not is_utf8(name):
            raise UserError(
                f"{shortened(name)}: expected the name of {kind} in UTF-8, got bytes that are not;"
                " rename it"
            )
