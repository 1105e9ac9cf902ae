"""recipe.yaml: all settings of a run, complete, written and read without loss."""

import json
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from convergan.errors import UserError
from convergan.recipes.settings import Recipe

_RECIPE = TypeAdapter(Recipe)
# The class of each kind of networks, by which pydantic names the alternatives.
_NETWORKS = {"mlp": "MLPSettings", "conv": "ConvSettings", "imagenet": "ImageNetSettings"}

FREE_TO_CHANGE = ("data.cache", "data.path", "data.resident_mb", "hardware.threads")
"""Settings that a resumed run may change: where things are kept, and by how many threads they are computed,
which changes last digits alone; whether the images are the same is checked by their fingerprint."""


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """The settings as nested dictionaries of plain values."""
    return _RECIPE.dump_python(recipe, mode="json")


def recipe_from_dict(values: object, origin: str) -> Recipe:
    """The recipe that `values` describe; `origin` names them in the error of those that do not fit."""
    try:
        return _RECIPE.validate_python(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {_first_problem(error, values)}") from None


def _first_problem(error: ValidationError, values: object) -> str:
    """The first problem in words; among those of the networks, one of the kind that is meant."""
    networks = values.get("networks") if isinstance(values, dict) else None
    kind = networks.get("kind") if isinstance(networks, dict) else None
    if networks is not None and kind not in _NETWORKS:
        return f"networks.kind: expected one of {', '.join(_NETWORKS)}, got {kind!r}"
    for problem in error.errors():
        place = list(problem["loc"])
        if len(place) > 1 and place[0] == "networks":
            if place[1] != _NETWORKS[str(kind)]:
                continue
            del place[1]
        return f"{'.'.join(map(str, place))}: {problem['msg']}, got {problem['input']!r}"
    return " ".join(str(error).split())


def recipe_to_yaml(recipe: Recipe) -> str:
    """The text of recipe.yaml, in the order of the settings' declaration."""
    return yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False)


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe.yaml.

    Raises:
        UserError: the file is missing, is not YAML, or holds an unknown, missing or impossible setting.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: expected a recipe.yaml, got {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected YAML, got {' '.join(str(error).split())}") from None
    return recipe_from_dict(values, str(path))


def recipe_sha256(recipe: Recipe) -> str:
    """SHA-256, in hexadecimal, of what decides a run's result, shared by all recipes that may resume the run.

    It is taken of canonical JSON without `FREE_TO_CHANGE`, and without settings at their defaults, so that a
    setting added later leaves it as it was.
    """
    # As read from a file: a whole number is a float where one is declared.
    read = _RECIPE.validate_python(recipe_to_dict(recipe))
    chosen = _RECIPE.dump_python(read, mode="json", exclude_defaults=True)
    chosen.setdefault("networks", {})["kind"] = read.networks.kind
    settings = {name: value for name, value in _flat(chosen) if name not in FREE_TO_CHANGE}
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


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
