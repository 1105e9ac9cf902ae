"""Settings from command-line arguments: help with ranges, and errors in this package's form."""

import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from itertools import dropwhile, takewhile
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from tyro.conf import FlagCreatePairsOff, Suppress, arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructTypeInfo,
)

from convergan.errors import UserError, one_line, quoted, shortened
from convergan.ranges import Checked, Former, declarations, fit, number, range_in_words
from convergan.recipes.base import Settings
from convergan.recipes.former import current_options

_REGISTRY = ConstructorRegistry()


@_REGISTRY.struct_rule
def _settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The tyro specification of settings, without those that no option can change: the recipe's name, terms
    of others, and what has one value alone, as the kind of networks.
    """
    suppress: Any = Suppress
    # The marker keeps the call of tyro below from ending here again.
    if suppress in info.markers or not (
        isinstance(info.type, type) and issubclass(info.type, Checked)
    ):
        return None
    spec = ConstructorRegistry.get_struct_spec(replace(info, markers=(*info.markers, suppress)))
    if not isinstance(spec, StructConstructorSpec):
        return None
    kind: Any = info.type
    declared = declarations(kind)
    hidden = {
        name
        for name, declaration in declared.items()
        if get_origin(declaration) is Literal and len(get_args(declaration)) == 1
    }
    if issubclass(info.type, Settings):
        hidden |= {"name", "others", "plan", "factory"}
    fields = (
        replace(field, type=suppress[field.type])
        if field.name in hidden
        else replace(
            field,
            type=_with_display(
                _with_reader(field.type, declared[field.name]),
                declared[field.name],
                field.default,
                # A recipe from a file may have switched on what is off by default.
                one_way=not issubclass(kind, Settings),
            ),
            helptext=_flowing(field.helptext, range_in_words(declared[field.name])),
        )
        for field in spec.fields
    )
    return replace(spec, fields=tuple(fields))


def _flowing(
    helptext: str | Callable[[], str | None] | None, limits: str | None
) -> Callable[[], str | None]:
    """The help text, one line for each paragraph, with the range of the value."""

    def flowing() -> str | None:
        text = helptext() if callable(helptext) else helptext
        if not text:
            return text
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        if limits and "2^" not in limits:
            paragraphs[-1] += f" ({_unbroken(limits)})"
        return "\n\n".join(paragraphs)

    return flowing


def _with_display(annotation: Any, declared: Any, default: Any, *, one_way: bool) -> Any:
    """The type, annotated with how the help shows its option: without a default that is nothing, without None
    where that is the default, and without the option that switches off what is off.
    """
    if declared is bool and default is False and one_way:
        pairs_off: Any = FlagCreatePairsOff
        return pairs_off[Annotated[annotation, arg(help_behavior_hint="")]]
    if NoneType in _kinds(declared):
        metavar = _metavar(declared) + ("" if default is None else "|None")
        annotation = Annotated[annotation, arg(metavar=metavar)]
    if default is None or default in ((), ""):
        annotation = Annotated[annotation, arg(help_behavior_hint="")]
    return annotation


def _with_reader(annotation: Any, declared: Any) -> Any:
    """The type, annotated with a reader if it takes numbers, tuples of numbers or words that were renamed."""
    kinds = _kinds(declared)
    several = any(get_origin(kind) is tuple for kind in kinds)
    choices = None
    if several:
        (kind, *alternatives) = kinds
        member, *repetition = get_args(kind)
        if alternatives or repetition != [...] or _kinds(member)[0] not in (int, float):
            return annotation
    elif len(kinds) > 1 and all(kind is NoneType or get_origin(kind) is Literal for kind in kinds):
        # In the order of their declaration; tyro's own changes from call to call.
        choices = tuple(str(word) for kind in kinds for word in get_args(kind))
        choices = ("None", *choices) if NoneType in kinds else choices
    elif not any(kind in (int, float) for kind in kinds) and not _has_former(declared):
        return annotation
    reader = PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=_metavar(declared),
        instance_from_str=lambda words: _read(words if several else words[0], declared),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(item) for item in (value if several else [value])],
        choices=choices,
    )
    return Annotated[annotation, reader]


def _read(words: str | list[str], declared: Any) -> Any:
    """The value of a declared type that command-line words spell.

    Raises:
        ValueError: they spell no such value, or one outside its range.
    """
    if isinstance(words, list):
        return _fitting([number(word) for word in words], declared)
    if words == "None" and NoneType in _kinds(declared):
        return None
    return _fitting(number(words), declared)


def _fitting(value: Any, declared: Any) -> Any:
    try:
        return fit(value, declared)
    except ValueError as problem:
        raise ValueError(f"expected {_unbroken(str(problem))}, got {quoted(value)}") from None


def _unbroken(text: str) -> str:
    return re.sub(r"(?<=\d),(?=\d{3})", _COMMA, text)


_COMMA = "\ue000"
"""The comma of 1,000,000, at which tyro would break the line; in nobody's text, as `quoted` escapes it."""


def _kinds(declared: Any) -> list[Any]:
    """A type without its range, in a list; for a union, each of its members."""
    origin = get_origin(declared)
    if origin is Annotated:
        return _kinds(get_args(declared)[0])
    if origin in (Union, UnionType):
        return [kind for member in get_args(declared) for kind in _kinds(member)]
    return [declared]


def _has_former(declared: Any) -> bool:
    return get_origin(declared) is Annotated and any(
        isinstance(limit, Former) for limit in get_args(declared)[1:]
    )


def _metavar(declared: Any) -> str:
    """The placeholder for a value in the help, such as `{0}|INT`, in tyro's form; without None."""
    words: list[str] = []
    choices: list[str] = []
    for kind in _kinds(declared):
        members = get_args(kind)
        if get_origin(kind) is tuple and ... in members:
            item = _metavar(members[0])
            words.append(f"[{item} [{item} ...]]")
        elif get_origin(kind) is tuple:
            words.append(" ".join(map(_metavar, members)))
        elif get_origin(kind) is Literal:
            choices += map(str, members)
        elif kind is not NoneType:
            words.append(kind.__name__.upper())
    return "|".join([f"{{{','.join(choices)}}}"] * bool(choices) + words)


def parse_options(
    kind: Any,
    words: list[str],
    *,
    program: str,
    default: Any = tyro.MISSING_NONPROP,
    description: str | None = None,
) -> Any:
    """An instance of `kind` from the words after a command, or a recipe.

    Args:
        kind: a dataclass with a `run`.
        words: words of the command line.
        program: the command, for the help and for errors.
        default: instance whose values are taken for settings that no word names.
        description: description of the command, in place of the dataclass's docstring.

    Raises:
        UserError: they do not fit; tyro's framed complaint in one line.
        SystemExit: they ask for help, which has been printed.
    """
    try:
        words = current_options(words)
    except UserError as problem:
        raise UserError(f"{problem} {see_help(program)}") from None
    complaint, help_text = io.StringIO(), _HelpText()
    try:
        with redirect_stderr(complaint), redirect_stdout(help_text):
            return tyro.cli(
                kind,
                args=words,
                prog=program,
                default=default,
                description=description,
                registry=_REGISTRY,
            )
    except SystemExit as end:
        if end.code in (0, None):
            name = "RECIPE" if program.endswith(" train") else "COMMAND"
            text = _LONG_CHOICE.sub(name, help_text.getvalue(), count=1)
            sys.stdout.write(_wrapped(text).replace(_COMMA, ","))
            raise
        raise UserError(
            f"{_first_message(complaint.getvalue(), words)} {see_help(program)}"
        ) from None


_LONG_CHOICE = re.compile(r"\{[^{},\n]+,[^{}\n]{25,},[^{},\n]+\}(?=(?:\x1b\[[0-9;]*m)*\s*$)", re.M)
"""Names of many commands at the end of a usage line; they are listed below it."""


def _wrapped(text: str) -> str:
    """A help text whose lines outside of frames, which tyro does not wrap, fit the terminal."""
    columns = shutil.get_terminal_size().columns
    lines: list[str] = []
    for line in text.split("\n"):
        if _visible(line).startswith("usage:"):
            lines += _wrapped_usage(line, columns)
        elif line[:1].isalnum():
            lines += textwrap.wrap(line, columns)
        else:
            lines.append(line)
    return "\n".join(lines)


def _wrapped_usage(line: str, columns: int) -> list[str]:
    """The lines of a usage, which break before options."""
    lines = [""]
    for part in re.split(r" (?=--|\[-|\[OPTIONS)", line):
        if lines[-1] and len(_visible(f"{lines[-1]} {part}")) > columns:
            lines.append("      ")
        lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    return lines


def _visible(text: str) -> str:
    """A text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class _HelpText(io.StringIO):
    """Buffer for the help that tyro prints, with the encoding of the standard output."""

    encoding = property(lambda _: sys.__stdout__.encoding)  # type: ignore[union-attr]

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stdout.isatty()

    def isatty(self) -> bool:
        return self._terminal


_REWORDED = (
    (
        r"^Error parsing (\S+): no type matching .*\{(.*)\} could be .* from \[(.*)\]$",
        r"\1: expected \2, got \3",
    ),
    (r"^Error parsing ", ""),
    (
        r"^invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)$",
        lambda match: (
            f"{match[2]}: expected one of {match[3].replace(chr(39), '')}, got {match[1]}"
        ),
    ),
    (r"^Missing value for argument '(.*)'.*$", r"\1: expected a value, got none"),
)
"""Patterns of tyro's messages, and their replacements."""


def _first_message(complaint: str, words: list[str]) -> str:
    """The first message in tyro's framed complaint about words, and its guess of the option that was meant if
    one of them is spelled like it.

    Below its title stand sentences, indented by 4 the options they are about, by 8 the help of these;
    after a rule similar options, in the same way.
    """
    lines = [line[2:].rstrip("│ ") for line in complaint.splitlines()[1:]]
    # Without Unicode the frame is blank, a rule is of hyphens, and there is one below the title too.
    rule = ("─", "---")
    below_title = dropwhile(lambda line: line.startswith(rule), lines)
    message = list(takewhile(lambda line: not line.startswith((*rule, "Got errors")), below_title))
    sentences = [line for line in message if line and not line.startswith(" ")]
    options = [line[4:] for line in message if line[:4].isspace() and not line[4:].startswith(" ")]
    text = " ".join([*sentences, ", ".join(options)]).strip(" .")
    for pattern, replacement in _REWORDED:
        text = re.sub(pattern, replacement, text)
    if "Perhaps you meant:" in lines:
        similar = lines[lines.index("Perhaps you meant:") + 1].split()[0].rstrip(",")
        if any(_is_near(word, similar) for word in words):
            text += f"; perhaps you meant {similar}"
    return shortened(text.replace(_COMMA, ","))


def _is_near(word: str, option: str) -> bool:
    """True if a word is not the option, but is spelled like it or, if it is nested, like its last part."""
    spelling, name = word.partition("=")[0].replace("_", "-"), option.removeprefix("--")
    if not spelling.startswith("--") or word == option:
        return False
    return bool(get_close_matches(spelling[2:], (name, name.rpartition(".")[2]), 1))


_MOST_CHOICES = 8
"""Choices that an error names; of more it names half as many, and the help tells all."""


def require_choice(kind: str, choices: Collection[str], words: list[str], program: str) -> None:
    """Check that the first word is one of the choices, or asks tyro for help or for completion."""
    word = words[0] if words else "nothing"
    if word not in choices and not word.startswith(("-h", "--help", "--tyro-")):
        names = [*choices]
        if len(names) > _MOST_CHOICES:
            names[_MOST_CHOICES // 2 :] = ["..."]
        similar = get_close_matches(word, choices, 1)
        guess = f"; perhaps you meant {similar[0]}" if similar else ""
        raise UserError(
            f"{kind}: expected one of {', '.join(names)}, got {one_line(word)}{guess} {see_help(program)}"
        )


def as_typed(message: str, words: list[str]) -> str:
    """An error message that begins with the setting of an option among the words, with that option in its
    place as it was typed, such as `--labels` or `--data.size_px`.
    """
    setting, colon, problem = message.partition(": ")
    option = f"--{setting}".replace("_", "-")
    for word in words:
        name = word.partition("=")[0]
        if colon and name.replace("_", "-") == option:
            return f"{name}: {problem}"
    return message


def see_help(program: str) -> str:
    """The end of an error message, which points to the help of a program."""
    return f"(see {program} --help)"
