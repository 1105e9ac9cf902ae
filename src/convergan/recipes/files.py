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

_LARGEST_BYTES = 65_536
"""Largest size of a recipe.yaml in bytes. The usual size is about 2,000."""

_KINDS = {str: "text", list: "a list", type(None): "nothing", int: "a number", float: "a number"}
_MISSING = object()

FREE_TO_CHANGE = ("data.cache", "data.path", "data.resident_mb", "hardware.threads")
"""Settings that a resumed run may change: where files are kept, and the number of threads, which only affects
the last digits of results. The fingerprint of the images shows whether they are the same."""

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
"""Settings, apart from those of the optimizer, that do not change the duration of a step, or that may differ
in a run that repeats the steps of another."""


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
    """The recipe that nested dictionaries describe; `origin` names their source in errors.

    Raises:
        UserError: a setting is unknown, missing or out of range.
    """
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
    """The values of one group of settings, with former values replaced, ready for pydantic to convert.

    This checks what pydantic does not: it would accept true as 1, and would report on all kinds of networks.

    Raises:
        UserError: a name is not that of a setting, a number is true or false, or `networks.kind` is unknown.
    """
    if group == "networks.":
        kind = values.get("kind")
        settings = _NETWORKS.get(kind) if isinstance(kind, str) else None
        if settings is None:
            raise UserError(
                f"networks.kind: expected one of {', '.join(_NETWORKS)}, got {quoted(kind)}"
            )
    fields = declarations(settings)
    if settings is ModuleSettings:
        fields = {name: declared for name, declared in fields.items() if name != "factory"}
    checked: dict[str, Any] = {}
    if group == "objective.":
        values = current_objective(values)
        fields = {name: declared for name, declared in fields.items() if name != "others"}
        custom_names = [name for name in values if name not in fields]
        checked["others"] = [_custom_term(name, values[name], fields) for name in custom_names]
        values = {name: value for name, value in values.items() if name in fields}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"{group}{_unknown(name, fields)}")
        declared = fields[name]
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


def _custom_term(name: Any, value: Any, declared_names: Collection[str]) -> TermSettings:
    """The settings of a registered term, which is not among the names that the objective declares."""
    settings: Any = TERM_SETTINGS.get(name) if isinstance(name, str) else None
    if settings is None:
        problem = f"objective.{_unknown(name, [*declared_names, *TERM_SETTINGS])}"
        if isinstance(value, dict):
            problem += "; a term of your own must be registered first"
        raise UserError(problem)
    group = f"objective.{name}"
    checked = _checked(_by_name(group, value), settings, f"{group}.")
    try:
        return _adapter(settings).validate_python(checked)
    except ValidationError as error:
        raise UserError(f"{group}.{_first_problem(error, value, settings)}") from None


def _unknown(name: object, candidates: Collection[str]) -> str:
    close = get_close_matches(name, candidates, n=1) if isinstance(name, str) else []
    suggestion = f", perhaps {close[0]}" if close else ""
    label = printable(name) if isinstance(name, str) and len(name) <= 100 else quoted(name)
    return f"{label}: expected the name of a setting{suggestion}, got another"


def _first_problem(error: ValidationError, values: dict[str, Any], settings: Any) -> str:
    """The first of these settings that does not fit, in the words of this package."""
    for problem in error.errors(include_context=False, include_url=False):
        place = [str(part) for part in problem["loc"]]
        group: Any = settings
        value: Any = values
        names: list[str] = []
        if group is Recipe and place[0] == "networks" and len(place) > 1:
            # pydantic reports on all kinds of networks.
            group = _NETWORKS[values["networks"]["kind"]]
            if place[1] != group.__name__:
                continue
            names, place, value = ["networks"], place[2:], values["networks"]
        for name in place:
            declared = declarations(group).get(name)
            value = value.get(name, _MISSING)
            names.append(name)
            if not (is_dataclass(declared) and isinstance(value, dict)):
                break
            group = declared
        value_in_words = "nothing" if value is _MISSING else quoted(value)
        return f"{'.'.join(names)}: expected {expected(declared, value)}, got {value_in_words}"
    return one_line(error)


def recipe_to_yaml(recipe: Recipe) -> str:
    """The text of recipe.yaml, with the settings in the order of their declaration."""
    return yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False)


def read_recipe(path: StrPath) -> Recipe:
    """Read a recipe.yaml, such as every run folder contains.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, is not YAML, is larger than any recipe, or contains an alias or a
            duplicate setting; or a setting is unknown, missing or out of range.

    Example:
        >>> from convergan import read_recipe
        >>> read_recipe("runs/mine/recipe.yaml").name
        'digits'
    """
    path = as_path(path, "path")
    with reading(path, "a recipe.yaml"):
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"more than {_LARGEST_BYTES:,} bytes")
        # Not yaml.load: the loader is a safe one.
        loader = _Loader(content.decode("utf-8"))
        try:
            values = loader.get_single_data()
        finally:
            loader.dispose()
    return recipe_from_dict(values, str(path))


class _Loader(yaml.SafeLoader):
    """Loader of YAML that refuses aliases, with which a few bytes can fill any memory, merges and duplicate
    names.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"an alias, *{event.anchor}, in line {event.start_mark.line + 1}")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.YAMLError(f"a merge, {key.value}, in line {line}")
            if key.value in keys:
                raise yaml.YAMLError(f"{key.value} a second time, in line {line}")
            keys.add(key.value)
        return node


def recipe_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of the settings that decide a run's result. Recipes with the same hash may
    resume the same run.

    It is that of canonical JSON without `FREE_TO_CHANGE` and without settings at their defaults, so that a
    setting that is added later does not change it.
    """
    return _sha256(_decisive(recipe))


def cost_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of the settings that decide the duration of a run's steps and tests.

    These are the settings of `recipe_sha256` without the plan, the optimizer and `WITHOUT_COST`.
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
    """Settings that decide a run's result, by dotted name, without those at their defaults."""
    # As if read from a file: a whole number becomes a float where a float is declared.
    complete = recipe_from_dict(recipe_to_dict(recipe), "recipe")
    settings = _RECIPE.dump_python(
        complete, mode="json", exclude_defaults=True, exclude=_NOT_DUMPED
    )
    settings.setdefault("networks", {})["kind"] = complete.networks.kind
    # Under the names of the first version, because these hashes identify runs.
    settings["objective"] = with_former_names(
        dict(_flat(settings.get("objective", {}))),
        dict(_flat(recipe_to_dict(complete)["objective"])),
    )
    for term in complete.objective.others:
        differing = _plain(term, exclude_defaults=True)
        settings["objective"][term.term_name] = {"weight": term.weight, **differing}
    return {name: value for name, value in _flat(settings) if name not in FREE_TO_CHANGE}


def first_difference(
    saved: Recipe, requested: Recipe, ignored: Collection[str] = ()
) -> tuple[str, Any, Any] | None:
    """The dotted name of the first setting in which two recipes differ, and both values; None if all are
    equal.
    """
    requested_settings = dict(_flat(recipe_to_dict(requested)))
    saved_settings = dict(_flat(recipe_to_dict(saved)))
    for name in {**saved_settings, **requested_settings}:
        pair = saved_settings.get(name), requested_settings.get(name)
        if name not in ignored and pair[0] != pair[1]:
            return name, *pair
    return None


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
