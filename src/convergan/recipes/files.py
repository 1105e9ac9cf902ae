"""recipe.yaml: all settings of a run, complete, written and read without loss."""

import json
from collections.abc import Collection, Iterator
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from convergan.errors import UserError, one_line, printable, quoted, reading
from convergan.paths import StrPath, as_path
from convergan.ranges import current_value, declarations, expected, range_in_words
from convergan.recipes.former import current_objective, with_former_names
from convergan.recipes.networks import (
    ConvSettings,
    ImageNetSettings,
    MLPSettings,
    ModuleSettings,
    PretrainedSettings,
    ResidualSettings,
)
from convergan.recipes.objective import TERM_SETTINGS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import TermSettings

_RECIPE = TypeAdapter(Recipe)
_NETWORKS: dict[str, Any] = {
    "mlp": MLPSettings,
    "conv": ConvSettings,
    "imagenet": ImageNetSettings,
    "pretrained": PretrainedSettings,
    "residual": ResidualSettings,
    "module": ModuleSettings,
}
_NOT_DUMPED: Any = {"objective": {"others"}, "networks": {"factory"}}

_LARGEST = 65_536
"""Bytes of a recipe.yaml: ours have some 2,000."""

_KINDS = {str: "text", list: "a list", type(None): "nothing", int: "a number", float: "a number"}
_NOTHING = object()

FREE_TO_CHANGE = ("data.cache", "data.path", "data.resident_mb", "hardware.threads")
"""Settings that a resumed run may change: where things are kept, and by how many threads they are computed,
which changes last digits alone; whether the images are the same is checked by their fingerprint."""

WITHOUT_COST = (
    "name",
    "labels",
    "seed",
    "steps",
    "minutes",
    "data.source",
    "data.split_seed",
    "data.skip_unreadable",
    "hardware.accelerator",
)
"""Settings beside those of the optimizer that leave a step as it is, or that a run which repeats another's
steps may have otherwise."""


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """The settings as nested dictionaries of plain values."""
    values = _RECIPE.dump_python(recipe, mode="json", exclude=_NOT_DUMPED)
    for term in recipe.objective.others:
        values["objective"][term.term_name] = _plain(term)
    return values


def _plain(term: TermSettings, *, exclude_defaults: bool = False) -> dict[str, Any]:
    settings: Any = type(term)
    return _adapter(settings).dump_python(term, mode="json", exclude_defaults=exclude_defaults)


@cache
def _adapter(settings: Any) -> TypeAdapter[Any]:
    return TypeAdapter(settings)


def recipe_from_dict(values: object, origin: str) -> Recipe:
    """The recipe that `values` describe; `origin` names them in the error of those that do not fit."""
    if not isinstance(values, dict):
        kind = _KINDS.get(type(values), "a value")
        raise UserError(f"{origin}: expected a recipe, its settings by name, got {kind} alone")
    try:
        return _RECIPE.validate_python(_checked(values, Recipe))
    except ValidationError as error:
        raise UserError(f"{origin}: {_first_problem(error, values, Recipe)}") from None
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def _checked(values: dict[Any, Any], settings: Any, group: str = "") -> dict[str, Any]:
    """The values of one group of settings, as pydantic may convert them.

    It would take true for 1, and has to leave it to others to say which kind of networks is meant.

    Raises:
        UserError: a setting that is none, true or false in place of a number, networks of no kind.
    """
    if group == "networks.":
        kind = values.get("kind")
        settings = _NETWORKS.get(kind) if isinstance(kind, str) else None
        if settings is None:
            raise UserError(
                f"networks.kind: expected one of {', '.join(_NETWORKS)}, got {quoted(kind)}"
            )
    known = declarations(settings)
    if settings is ModuleSettings:
        known = {name: declared for name, declared in known.items() if name != "factory"}
    checked: dict[str, Any] = {}
    if group == "objective.":
        values = current_objective(values)
        known = {name: declared for name, declared in known.items() if name != "others"}
        others = [name for name in values if name not in known]
        checked["others"] = [_other_term(name, values[name], known) for name in others]
        values = {name: value for name, value in values.items() if name in known}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"{group}{_unknown(name, known)}")
        declared = known[name]
        if f"{group}{name}" == "networks" or is_dataclass(declared):
            value = _checked(_by_name(f"{group}{name}", value), declared, f"{group}{name}.")
        elif range_in_words(declared) and any(
            isinstance(item, bool) for item in (value if isinstance(value, list) else [value])
        ):
            raise UserError(
                f"{group}{name}: expected {expected(declared, value)}, got {quoted(value)}"
            )
        checked[name] = current_value(value, declared)
    return checked


def _by_name(name: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{name}: expected settings by name, got {quoted(value)}")
    return value


def _other_term(name: Any, value: Any, known: Collection[str]) -> TermSettings:
    """The settings of a term that the objective does not declare among the names that it knows."""
    settings: Any = TERM_SETTINGS.get(name) if isinstance(name, str) else None
    if settings is None:
        problem = f"objective.{_unknown(name, [*known, *TERM_SETTINGS])}"
        if isinstance(value, dict):
            problem += "; a term of your own has to be registered first"
        raise UserError(problem)
    group = f"objective.{name}"
    checked = _checked(_by_name(group, value), settings, f"{group}.")
    try:
        return _adapter(settings).validate_python(checked)
    except ValidationError as error:
        raise UserError(f"{group}.{_first_problem(error, value, settings)}") from None


def _unknown(name: object, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1) if isinstance(name, str) else []
    meant = f", perhaps {close[0]}" if close else ""
    shown = printable(name) if isinstance(name, str) and len(name) <= 100 else quoted(name)
    return f"{shown}: expected the name of a setting{meant}, got another"


def _first_problem(error: ValidationError, values: dict[str, Any], settings: Any) -> str:
    """The first of these settings that does not fit, in our words."""
    for problem in error.errors(include_context=False, include_url=False):
        place = [str(part) for part in problem["loc"]]
        group: Any = settings
        got: Any = values
        names: list[str] = []
        if group is Recipe and place[0] == "networks" and len(place) > 1:
            # pydantic tells of all kinds of networks.
            group = _NETWORKS[values["networks"]["kind"]]
            if place[1] != group.__name__:
                continue
            names, place, got = ["networks"], place[2:], values["networks"]
        for name in place:
            declared = declarations(group).get(name)
            got = got.get(name, _NOTHING)
            names.append(name)
            if not (is_dataclass(declared) and isinstance(got, dict)):
                break
            group = declared
        shown = "nothing" if got is _NOTHING else quoted(got)
        return f"{'.'.join(names)}: expected {expected(declared, got)}, got {shown}"
    return one_line(error)


def recipe_to_yaml(recipe: Recipe) -> str:
    """The text of recipe.yaml, in the order of the settings' declaration."""
    return yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False)


def read_recipe(path: StrPath) -> Recipe:
    """The settings in a recipe.yaml, as every run folder holds one.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, is not YAML, is larger than any recipe, holds an alias or a setting
            twice, or an unknown, missing or impossible setting.

    Example:
        >>> from convergan import read_recipe
        >>> read_recipe("runs/mine/recipe.yaml").name
        'digits'
    """
    path = as_path(path, "path")
    with reading(path, "a recipe.yaml"):
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"more than {_LARGEST:,} bytes")
        # Not yaml.load: the loader is a safe one.
        loader = _Loader(content.decode("utf-8"))
        try:
            values = loader.get_single_data()
        finally:
            loader.dispose()
    return recipe_from_dict(values, str(path))


class _Loader(yaml.SafeLoader):
    """YAML as recipes have it: without aliases, which a few bytes can multiply beyond any memory, without
    merges, and with each name once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"an alias, *{event.anchor}, in line {event.start_mark.line + 1}")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.YAMLError(f"a merge, {key.value}, in line {line}")
            if key.value in seen:
                raise yaml.YAMLError(f"{key.value} a second time, in line {line}")
            seen.add(key.value)
        return node


def recipe_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of what decides a run's result, shared by all recipes that may resume the run.

    It is taken of canonical JSON without `FREE_TO_CHANGE`, and without settings at their defaults, so that a
    setting added later leaves it as it was.
    """
    return _sha256(_decisive(recipe))


def cost_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of the settings that decide how long the steps and tests of a run take.

    It is that of a recipe without the plan, and without `WITHOUT_COST`: which images, seed and rates.
    """
    settings = {
        name: value
        for name, value in _decisive(recipe).items()
        if name not in WITHOUT_COST and not name.startswith(("plan.", "optimizer."))
    }
    return _sha256(settings)


def _sha256(settings: dict[str, Any]) -> str:
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def _decisive(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide a run's result, by their dotted names, without those at their defaults."""
    # As read from a file: a whole number is a float where one is declared.
    read = recipe_from_dict(recipe_to_dict(recipe), "recipe")
    chosen = _RECIPE.dump_python(read, mode="json", exclude_defaults=True, exclude=_NOT_DUMPED)
    chosen.setdefault("networks", {})["kind"] = read.networks.kind
    # By the names of the first version: runs are known by these hashes.
    chosen["objective"] = with_former_names(
        dict(_flat(chosen.get("objective", {}))), dict(_flat(recipe_to_dict(read)["objective"]))
    )
    for term in read.objective.others:
        differing = _plain(term, exclude_defaults=True)
        chosen["objective"][term.term_name] = {"weight": term.weight, **differing}
    return {name: value for name, value in _flat(chosen) if name not in FREE_TO_CHANGE}


def first_difference(
    saved: Recipe, wanted: Recipe, ignored: Collection[str] = ()
) -> tuple[str, Any, Any] | None:
    """The first setting in which two recipes differ: its dotted name and both values."""
    wanted_settings = dict(_flat(recipe_to_dict(wanted)))
    saved_settings = dict(_flat(recipe_to_dict(saved)))
    for name in {**saved_settings, **wanted_settings}:
        pair = saved_settings.get(name), wanted_settings.get(name)
        if name not in ignored and pair[0] != pair[1]:
            return name, *pair
    return None


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
