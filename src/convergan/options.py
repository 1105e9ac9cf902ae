"""How tyro shows and reads our settings: help without the source's line breaks, ranges, our words."""

from collections.abc import Callable
from dataclasses import replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tyro.conf import Suppress
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructTypeInfo,
)

from convergan.errors import quoted
from convergan.ranges import Checked, Former, declarations, fit, range_in_words
from convergan.recipes.settings import Settings

REGISTRY = ConstructorRegistry()


@REGISTRY.struct_rule
def _settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Settings as tyro reads them, but for the names of the recipe and of the kind of networks."""
    suppress: Any = Suppress
    # The marker tells the question below from tyro's own.
    if suppress in info.markers or not (
        isinstance(info.type, type) and issubclass(info.type, Checked)
    ):
        return None
    spec = ConstructorRegistry.get_struct_spec(replace(info, markers=(*info.markers, suppress)))
    if not isinstance(spec, StructConstructorSpec):
        return None
    hidden = ("name", "kind") if issubclass(info.type, Settings) else ()
    kind: Any = info.type
    declared = declarations(kind)
    fields = (
        replace(field, type=suppress[field.type])
        if field.name in hidden
        else replace(
            field,
            type=_with_reader(field.type, declared[field.name]),
            helptext=_flowing(field.helptext, range_in_words(declared[field.name])),
        )
        for field in spec.fields
    )
    return replace(spec, fields=tuple(fields))


def _flowing(
    helptext: str | Callable[[], str | None] | None, limits: str | None
) -> Callable[[], str | None]:
    """The help without the line breaks of the source, but for paragraphs, and with the range."""

    def told() -> str | None:
        text = helptext() if callable(helptext) else helptext
        if not text:
            return text
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        if limits and "2^" not in limits:
            # Without commas in numbers, at which tyro breaks lines.
            paragraphs[-1] += f" ({limits.replace(',0', '0')})"
        return "\n\n".join(paragraphs)

    return told


def _with_reader(shown: Any, declared: Any) -> Any:
    """The type, with our reader for numbers, tuples of numbers, and words that had others before."""
    kinds = _kinds(declared)
    several = any(get_origin(kind) is tuple for kind in kinds)
    choices = None
    if several:
        (kind, *others) = kinds
        member, *rest = get_args(kind)
        if others or rest != [...] or _kinds(member)[0] not in (int, float):
            return shown
    elif len(kinds) > 1 and all(kind is NoneType or get_origin(kind) is Literal for kind in kinds):
        # In the order of their declaration; tyro's own changes from call to call.
        choices = tuple(_metavar(declared).strip("{}").split(","))
    elif not any(kind in (int, float) for kind in kinds) and not _has_former(declared):
        return shown
    reader = PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=_metavar(declared),
        instance_from_str=lambda words: _read(words if several else words[0], declared),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(one) for one in (value if several else [value])],
        choices=choices,
    )
    return Annotated[shown, reader]


def _read(words: str | list[str], declared: Any) -> Any:
    """The value that is spelled.

    Raises:
        ValueError: it is none, or outside its range.
    """
    if isinstance(words, list):
        return _fitting([_number(word) for word in words], declared)
    if words == "None" and NoneType in _kinds(declared):
        return None
    return _fitting(_number(words), declared)


def _fitting(value: Any, declared: Any) -> Any:
    try:
        return fit(value, declared)
    except ValueError as problem:
        raise ValueError(f"expected {problem}, got {quoted(value)}") from None


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _kinds(declared: Any) -> list[Any]:
    """What a type is once its range is left out; the members of a union, each so."""
    origin = get_origin(declared)
    if origin is Annotated:
        return _kinds(get_args(declared)[0])
    if origin in (Union, UnionType):
        return [kind for member in get_args(declared) for kind in _kinds(member)]
    return [declared]


def _has_former(declared: Any) -> bool:
    return get_origin(declared) is Annotated and any(
        isinstance(each, Former) for each in get_args(declared)[1:]
    )


def _metavar(declared: Any) -> str:
    """As tyro writes it."""
    words: list[str] = []
    choices: list[str] = []
    for kind in _kinds(declared):
        if get_origin(kind) is tuple:
            one = _metavar(get_args(kind)[0])
            words.append(f"[{one} [{one} ...]]")
        elif kind is NoneType:
            choices.insert(0, "None")
        elif get_origin(kind) is Literal:
            choices += map(str, get_args(kind))
        else:
            words.append(kind.__name__.upper())
    return "|".join([f"{{{','.join(choices)}}}"] * bool(choices) + words)
