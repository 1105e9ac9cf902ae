"""Errors of the user, and exceptions of libraries, as messages of one line."""

import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePath
from reprlib import Repr

_LONGEST = 300
"""Largest number of characters that are quoted of a user's text or of a library's message."""

_LONGEST_NAME = 60
"""Largest number of characters of a name in a list of names."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlevel = 3


class UserError(Exception):
    """Error that the user can correct: in a setting, a file, an image.

    The message is one line that names the argument or the file, what was expected and what was got. The
    command line prints it without a traceback.
    """


def printable(text: str) -> str:
    """A text with escapes in place of characters that a terminal obeys instead of showing them.

    Control and format characters, line separators and lone surrogates (bytes of a file name that are not
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
    """The message of an exception, or a text, in one printable line of at most 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    # Twice: escapes are longer than what they stand for.
    return _begun(printable(_begun(text)))


def _begun(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def shortened(text: str, longest: int = _LONGEST) -> str:
    """A text in printable characters; of one longer than `longest` the middle is left out."""
    if len(text) > 2 * longest:
        text = text[:longest] + text[-longest:]
    text = printable(text)
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def first_of(names: Iterable[object], limit: int = 5) -> str:
    """The first `limit` names, separated by commas, each shortened; `, ...` stands for the others."""
    short_names = [shortened(str(name), _LONGEST_NAME) for name in islice(names, limit + 1)]
    return ", ".join(short_names[:limit]) + (", ..." if len(short_names) > limit else "")


def system_problem(error: object) -> str:
    """The system's reason for an error with a file, without the file's name; else the exception's message.

    One printable line of at most 300 characters.
    """
    return one_line(getattr(error, "strerror", None) or error)


def file_problem(error: OSError) -> str:
    """`<file>: <the system's reason>`, without the file where the exception names none."""
    file = f"{error.filename}: " if error.filename is not None else ""
    return f"{file}{system_problem(error)}"


def is_utf8(text: str) -> bool:
    """True if a text can be written in UTF-8; lone surrogates, which stand for other bytes, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def reading(place: object, expected: str) -> Iterator[None]:
    """Turn whatever goes wrong in the block, which reads a file, into one line.

    Libraries that read a damaged file raise anything: lists of their exceptions are never complete.

    Args:
        place: the file, or the setting.
        expected: what it should have held, such as "a recipe.yaml".

    Raises:
        UserError: `<place>: expected <expected>, got <problem>`; one that the block raises passes as it is.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{place}: expected {expected}, got one too large for memory") from None
    except Exception as error:
        raise UserError(f"{place}: expected {expected}, got {system_problem(error)}") from error


def install_command(extra: str) -> str:
    """The command that installs the packages of an extra: `pip install -e '.[study]'` where the package runs
    from a checkout, with the path of that from elsewhere, and `pip install 'convergan[study]'` otherwise.
    """
    package = Path(__file__).resolve().parent
    checkout = package.parents[1]
    if package != checkout / "src" / "convergan" or not (checkout / "pyproject.toml").is_file():
        return f"pip install 'convergan[{extra}]'"
    place = "." if Path.cwd() == checkout else str(checkout)
    return f"pip install -e {shlex.quote(f'{place}[{extra}]')}"


def quoted(value: object) -> str:
    """A value as Python writes it, printable, and short: of a long one the middle is left out."""
    try:
        return shortened(_SHORT.repr(str(value) if isinstance(value, PurePath) else value))
    except ValueError:
        # Python writes no integer of more than 4,300 digits.
        return "a number of thousands of digits"
