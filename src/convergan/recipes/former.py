"""Former names of settings of the objective, which are still accepted."""

from typing import Any

from convergan.errors import UserError, quoted
from convergan.ranges import declarations, fit, number
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    HistoricalAveragingSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    RealOrGeneratedSettings,
    SupervisedSettings,
    TargetSettings,
)

Setting = tuple[Any, str]
"""The settings class of a term, and the name of one of its fields."""

_GENERATOR_TERMS = (
    FeatureMatchingSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    TargetSettings,
)

FORMER_OBJECTIVE: dict[str, Setting | dict[str, dict[Setting, float]]] = {
    "discriminator": {
        "semi-supervised": {(SupervisedSettings, "weight"): 1.0},
        "binary": {(SupervisedSettings, "weight"): 0.0},
    },
    "unsupervised_weight": (RealOrGeneratedSettings, "weight"),
    "positive_target": (RealOrGeneratedSettings, "positive_target"),
    "generator": {
        selected.term_name.replace("_", "-"): {
            (term, "weight"): float(term is selected) for term in _GENERATOR_TERMS
        }
        for selected in _GENERATOR_TERMS
    },
    "generator_target": (TargetSettings, "probability"),
    "feature_distance": (FeatureMatchingSettings, "distance"),
    "historical_averaging": (HistoricalAveragingSettings, "weight"),
}
"""The setting that replaces each former name, or the values of a former name with the settings for each."""


def replacing(former: str) -> list[str]:
    """Names of the settings that replace a former one, such as `minimax.weight`."""
    settings = FORMER_OBJECTIVE[former]
    fields = [settings] if isinstance(settings, tuple) else next(iter(settings.values()))
    return [f"{term.term_name}.{name}" for term, name in fields]


def replaced(former: str, value: Any) -> dict[str, Any]:
    """The settings, by name, that a former name with this value stands for.

    Raises:
        ValueError: the former setting had no such value; the message says what is expected.
    """
    settings = FORMER_OBJECTIVE[former]
    if isinstance(settings, tuple):
        term, name = settings
        if isinstance(value, str):
            # 3e-4 is text in YAML.
            value = number(value)
        values = [fit(value, declarations(term)[name])]
    else:
        if not isinstance(value, str) or value not in settings:
            raise ValueError(f"one of {', '.join(settings)}")
        values = list(settings[value].values())
    return dict(zip(replacing(former), values, strict=True))


def current_objective(values: dict[Any, Any]) -> dict[Any, Any]:
    """Settings of the objective from a file, with present names in place of former ones.

    Raises:
        UserError: a former setting has a value that it never had, or is given together with the present name
            of the same setting.
    """
    formers = [name for name in values if is_former(name, values[name])]
    current = {name: value for name, value in values.items() if name not in formers}
    present_settings = {
        f"{term}.{name}"
        for term, group in current.items()
        if isinstance(group, dict)
        for name in group
    }
    for former in formers:
        try:
            settings = replaced(former, values[former])
        except ValueError as problem:
            raise UserError(
                f"objective.{former}: expected {problem}, got {quoted(values[former])}"
            ) from None
        for setting, value in settings.items():
            term, name = setting.split(".")
            group = current.get(term, {})
            if not isinstance(group, dict):
                # This is reported as another error.
                continue
            if setting in present_settings:
                raise UserError(duplicate_message(f"objective.{former}", f"objective.{setting}"))
            current[term] = {**group, name: value}
    return current


def is_former(name: Any, value: Any) -> bool:
    """True if a name in a file is a former one; for `historical_averaging` its value decides."""
    return (
        isinstance(name, str)
        and name in FORMER_OBJECTIVE
        and not (isinstance(value, dict) and replacing(name)[0].startswith(f"{name}."))
    )


def current_options(words: list[str]) -> list[str]:
    """Words of a command line, with present options in place of former ones.

    Raises:
        UserError: as `current_objective`, with the name of the option.
    """
    formers = {_option(former): former for former in FORMER_OBJECTIVE}
    present_options = {_as_written(word.partition("=")[0]) for word in words}
    current: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        name, equals, value = word.partition("=")
        option = _as_written(name)
        if option not in formers:
            current.append(word)
            continue
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise UserError(f"{option}: expected a value, got none")
            value = remaining.pop(0)
        try:
            settings = replaced(formers[option], value)
        except ValueError as problem:
            raise UserError(f"{option}: expected {problem}, got {quoted(number(value))}") from None
        for setting, value in settings.items():
            if _option(setting) in present_options:
                raise UserError(duplicate_message(option, _option(setting)))
            current.append(f"{_option(setting)}={value}")
    return current


def _option(setting: str) -> str:
    """The option of a setting of the objective."""
    return _as_written(f"--objective.{setting}")


def _as_written(option: str) -> str:
    """An option with hyphens, as in the help; underscores are accepted too."""
    return option.replace("_", "-")


def duplicate_message(former: str, present: str) -> str:
    """The message for a setting that is given under its former and under its present name."""
    return f"{former}: expected one of it and {present}, which is its present name, got both"


def with_former_names(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Settings of the objective, under their former names where these can express the same.

    Args:
        settings: values by name, such as `minimax.weight`, without those at their defaults.
        values: all values by name.
    """
    renamed = dict(settings)
    for former, replacement in FORMER_OBJECTIVE.items():
        names = [name for name in replacing(former) if name in renamed]
        if not names:
            continue
        if isinstance(replacement, tuple):
            renamed[former] = renamed.pop(names[0])
            continue
        term_values = {name: values[name] for name in replacing(former)}
        for value in replacement:
            if replaced(former, value) == term_values:
                for name in names:
                    del renamed[name]
                renamed[former] = value
    return renamed
