"""The user's mistakes, and other people's exceptions, in one line."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from reprlib import Repr

_LONGEST = 300
"""Characters of another library's message that are quoted at most."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlevel = 3


class UserError(Exception):
    """Something the user can put right: a setting, a file, an image.

    The message is one line that names the argument or the file, what was expected and what was got. The
    command line prints it without a traceback.
    """


def printable(text: str) -> str:
    """The text with escapes in place of what a terminal obeys instead of showing it.

    Control and format characters, line separators and lone surrogates (bytes of a file name that are no
    UTF-8) become backslash escapes; everything else stays.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape", "surrogatepass").decode("ascii")
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def one_line(problem: object) -> str:
    """What an exception says, or a text, in one printable line of at most 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return printable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ...")


@contextmanager
def reading(where: object, expected: str) -> Iterator[None]:
    """Turns whatever goes wrong in the block, which reads a file, into one line.

    Libraries that read a damaged file raise anything: lists of their exceptions are never complete.

    Args:
        where: the file, or the setting.
        expected: what it should have held, such as "a recipe.yaml".

    Raises:
        UserError: `<where>: expected <expected>, got <problem>`; one that the block raises passes as it is.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{where}: expected {expected}, got one too large for memory") from None
    except Exception as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{where}: expected {expected}, got {one_line(problem)}") from error


def quoted(value: object) -> str:
    """A value as Python writes it, printable, and short: of a long one the middle is left out."""
    try:
        return one_line(_SHORT.repr(str(value) if isinstance(value, PurePath) else value))
    except ValueError:
        # Python writes no integer of more than 4,300 digits.
        return "a number of thousands of digits"
