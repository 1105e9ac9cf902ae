"""The notes in a recipe's file on settings that are not the authors', and what the ablations of Table 3
change."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

from convergan import recipes
from convergan.recipes.files import recipe_to_dict
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe

SHARED_SETTINGS: dict[str, Any] = {
    "batch_size": 100,
    "unlabelled_batch_size": None,
    "generated_batch_size": None,
    "augmentation.kind": "none",
    "data.validation_share": 0.0,
    "networks.latent_size": 100,
    "networks.normalization_epsilon": 1e-6,
    "networks.sample_batch": 100,
    "networks.data_dependent_initialization": True,
    "networks.minibatch_kernels": 0,
    "objective.supervised.weight": 1.0,
    "objective.supervised.include_generated": False,
    "objective.real_or_generated.weight": 0.5,
    "objective.real_or_generated.positive_target": 1.0,
    "objective.feature_matching.weight": 1.0,
    "objective.minimax.weight": 0.0,
    "objective.non_saturating.weight": 0.0,
    "objective.target.weight": 0.0,
    "objective.historical_averaging.weight": 0.0,
    "objective.generator_steps": 1,
    "objective.update": "alternating",
    "objective.shared_real_batch": False,
    "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.999,
    "optimizer.epsilon": 1e-8,
    "optimizer.epsilon_place": "inside",
    "optimizer.weight_decay": 0.0,
    "optimizer.generator_rate": 1.0,
    "optimizer.warmup": 0.0,
    "optimizer.averaging_rate": 1e-4,
    "optimizer.averaging_start": "zero",
    "optimizer.generator_averaging_rate": 1.0,
    "hardware.precision": "fp32",
}
"""The settings that the authors' code for MNIST, CIFAR-10 and SVHN has in common."""

MNIST = SHARED_SETTINGS | {
    "labels": 100,
    "epochs": 300,
    "networks.hidden": [1000, 500, 250, 250, 250],
    "networks.generator_hidden": [500, 500],
    "networks.input_noise": 0.3,
    "networks.hidden_noise": 0.5,
    "networks.generator_output": "glorot",
    "objective.feature_matching.distance": "squared",
    "optimizer.learning_rate": 0.003,
    "optimizer.decay_from": 1.0,
    "hardware.noise": "fresh",
}

CIFAR10 = SHARED_SETTINGS | {
    "labels": 4000,
    "epochs": 1200,
    "drop_remainder": True,
    "networks.width": 96,
    "networks.generator_width": 512,
    "networks.input_dropout": 0.2,
    "networks.input_noise": 0.0,
    "networks.hidden_dropout": 0.5,
    "networks.pixel_limit": 127.5 / 128,
    "networks.generator_normalization": "batch",
    "networks.initialization_images": "labelled",
    "objective.feature_matching.distance": "absolute",
    "optimizer.learning_rate": 0.0003,
    "optimizer.decay_from": 2 / 3,
    "optimizer.decay": "linear",
    "optimizer.decay_by": "epochs",
}

MINIBATCH: dict[str, Any] = {
    "networks.minibatch_kernels": 100,
    "networks.minibatch_kernel_size": 5,
    "objective.feature_matching.weight": 0.0,
    # It has no effect then.
    "objective.feature_matching.distance": "squared",
    "objective.minimax.weight": 1.0,
    "objective.generator_steps": 3,
}

CIFAR10_MINIBATCH = (
    CIFAR10
    | MINIBATCH
    | {"networks.input_dropout": 0.0, "networks.input_noise": 0.2, "hardware.noise": "fresh"}
)

SVHN: dict[str, Any] = {"labels": 1000, "epochs": 900, "networks.pixel_limit": 1.0}

IMAGENET: dict[str, Any] = {
    "labels": None,
    "batch_size": 16,
    "unlabelled_batch_size": None,
    "generated_batch_size": None,
    "hardware.devices": 4,
    "hardware.noise": "fresh",
    "hardware.precision": "fp32",
    "data.size_px": 128,
    "augmentation.kind": "none",
    "networks.width": 64,
    "networks.dense_multiple": 40,
    "networks.input_noise": 0.1,
    "networks.generator_width": 512,
    "networks.latent_size": 8192,
    "networks.noise_maps": [64, 64, 32, 16, 8, 8],
    "networks.reference_size": 16,
    "networks.normalization": "cross",
    "networks.padding": "tensorflow",
    "networks.minibatch_projection": "plain",
    "networks.minibatch_kernels": 300,
    "networks.minibatch_kernel_size": 50,
    "networks.data_dependent_initialization": False,
    "objective.supervised.weight": 1.0,
    "objective.supervised.include_generated": True,
    "objective.real_or_generated.weight": 1.0,
    "objective.real_or_generated.positive_target": 0.75,
    "objective.feature_matching.weight": 0.0,
    "objective.minimax.weight": 0.0,
    "objective.non_saturating.weight": 0.0,
    "objective.target.weight": 1.0,
    "objective.target.probability": 0.375,
    "objective.historical_averaging.weight": 0.0,
    "objective.update": "simultaneous",
    "objective.generator_steps": 1,
    "objective.shared_real_batch": True,
    "optimizer.learning_rate": 0.0004,
    "optimizer.generator_rate": 1.0,
    "optimizer.warmup": 0.0,
    "optimizer.decay_from": 1.0,
    "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.999,
    "optimizer.epsilon": 1e-8,
    "optimizer.epsilon_place": "uncorrected",
    "optimizer.weight_decay": 0.0,
    "optimizer.averaging_rate": 1.0,
}

WITHOUT_COUNTERPART: dict[str, Any] = {
    "members": 1,
    "minutes": None,
    "arms": [],
    "steps": None,
    "min_steps_per_epoch": 1,
    "data.flip": False,
    "data.channels": None,
    "objective.supervised.class_weights": "none",
    "objective.consistency.weight": 0.0,
    "objective.conditional_entropy.weight": 0.0,
    "objective.pull_away.weight": 0.0,
    "optimizer.averaging_horizon": 0.1,
    "hardware.compile": False,
}
"""Settings without a counterpart in the authors' code, at the values with which they do nothing. An average
that starts from the weights has a horizon, of which the files speak together with its start."""

NO_EFFECT = re.compile(
    r"name|seed|baseline|baseline_steps|frozen\..*|plan\..*|augmentation\.(?!kind).*"
    r"|data\.(source|path|cache|skip_unreadable|validation_share|test_share|folds|split_seed|resident_mb)"
    r"|objective\.consistency\.(?!weight).*|objective\.conditional_entropy\.ramp"
    r"|hardware\.(accelerator|devices|threads|members)|networks\.kind"
)
"""Settings that change no weight of the result, or only where others are on; the kind of network is seen in
`tests/recipes/test_authors.py`."""

NO_EFFECT_BY_RECIPE: dict[str, set[str]] = {
    # 60,000 images are 600 batches of 100.
    "mnist": {"drop_remainder", "data.size_px", "networks.minibatch_kernel_size"},
    "cifar10": {"data.size_px", "networks.minibatch_kernel_size", "networks.reference_size"},
    "imagenet": {
        # How the authors end an epoch, and how many there are, is not known.
        "drop_remainder",
        "epochs",
        # There is no average, no feature matching and no fall of the rate.
        "optimizer.averaging_start",
        "optimizer.generator_averaging_rate",
        "objective.feature_matching.distance",
        "optimizer.decay",
        "optimizer.decay_by",
    },
}
for name in ("mnist-paper", "mnist-mb"):
    NO_EFFECT_BY_RECIPE[name] = NO_EFFECT_BY_RECIPE["mnist"]
for name in ("svhn", "cifar10-mb", "svhn-mb"):
    NO_EFFECT_BY_RECIPE[name] = NO_EFFECT_BY_RECIPE["cifar10"]
for name in ("mnist-paper", "mnist", "mnist-mb"):
    # The rate does not fall there, and the authors' loop has no word for its kind.
    NO_EFFECT_BY_RECIPE[name] = NO_EFFECT_BY_RECIPE[name] | {
        "optimizer.decay",
        "optimizer.decay_by",
        "objective.target.probability",
    }
for name in ("cifar10", "svhn", "cifar10-mb", "svhn-mb"):
    NO_EFFECT_BY_RECIPE[name] = NO_EFFECT_BY_RECIPE[name] | {"objective.target.probability"}
for name in ("cifar10", "svhn"):
    # There is no noise.
    NO_EFFECT_BY_RECIPE[name] = NO_EFFECT_BY_RECIPE[name] | {"hardware.noise"}

Departure = tuple[Any, str]
"""The recipe's own value, and what the file says of it."""

CIFAR10_DEPARTURES: dict[str, Departure] = {
    "optimizer.averaging_start": (
        "weights",
        "EMA of the weights starts with the weights instead of zero",
    ),
    "hardware.precision": ("auto", "in bf16"),
}
MNIST_DEPARTURES: dict[str, Departure] = {
    "epochs": (150, "150 epochs in place of 300"),
    "optimizer.learning_rate": (0.0018, "the learning rate is .0018 in place of .003"),
    "optimizer.decay_from": (0.8, "falls to 0 over the last 30 of 150 epochs"),
    "optimizer.epsilon": (1e-4, "is 1e-4 outside it here"),
    "optimizer.epsilon_place": ("outside", "Adam's 1e-8 stands inside the root there"),
    "optimizer.averaging_start": (
        "weights",
        "EMA of the weights starts with the weights instead of zero",
    ),
    "networks.generator_output": ("normal", "starts from Normal(0, .1) in place of Glorot's"),
    # None stands for torch's own.
    "networks.normalization_epsilon": (None, "adds 1e-5 in place of 1e-6"),
    "networks.sample_batch": (None, "samples are drawn by running statistics"),
    "hardware.precision": ("auto", "in bf16"),
    "hardware.noise": ("auto", "noise is cut out of a bank"),
}
DEPARTURES: dict[str, tuple[dict[str, Any], dict[str, Departure]]] = {
    "mnist-paper": (MNIST, {}),
    "mnist": (MNIST, MNIST_DEPARTURES),
    "mnist-mb": (
        MNIST | MINIBATCH,
        MNIST_DEPARTURES
        | {
            "epochs": (30, "30 epochs"),
            "optimizer.learning_rate": (0.001, "the learning rate is .001"),
            "optimizer.decay_from": (0.5, "falls over the second half"),
            "objective.minimax.weight": (
                0.0,
                "maximizes log D in place of minimizing log(1 - D)",
            ),
            "objective.non_saturating.weight": (
                1.0,
                "maximizes log D in place of minimizing log(1 - D)",
            ),
            "objective.real_or_generated.positive_target": (0.9, "positive target is .9"),
        },
    ),
    "cifar10": (CIFAR10, CIFAR10_DEPARTURES),
    "svhn": (CIFAR10 | SVHN | {"networks.width": 64}, CIFAR10_DEPARTURES),
    "cifar10-mb": (CIFAR10_MINIBATCH, CIFAR10_DEPARTURES),
    "svhn-mb": (CIFAR10_MINIBATCH | SVHN, CIFAR10_DEPARTURES),
    "imagenet": (
        IMAGENET,
        {"hardware.devices": (1, "four such batches, one on each of four devices")},
    ),
}
"""The authors' settings for each recipe, and the recipe's own values where they differ."""


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            settings |= flat(value, f"{prefix}{name}.")
        else:
            settings[f"{prefix}{name}"] = value
    return settings


def changes(recipe: Recipe, reference: Recipe) -> dict[str, Any]:
    """The settings in which a recipe differs from another, its name aside."""
    settings, reference_settings = flat(recipe_to_dict(recipe)), flat(recipe_to_dict(reference))
    return {
        name: value
        for name, value in settings.items()
        if name != "name" and value != reference_settings[name]
    }


def documents() -> dict[str, str]:
    """The docstring of each recipe's file, in one line."""
    modules = (
        importlib.import_module(f"{recipes.__name__}.{module.name}")
        for module in pkgutil.iter_modules(recipes.__path__)
    )
    return {
        module.RECIPE.name: " ".join((module.__doc__ or "").split())
        for module in modules
        if hasattr(module, "RECIPE")
    }


def text_of(name: str) -> str:
    """The text of a recipe's file, with the texts of those that it refers to."""
    texts, combined = documents(), ""
    waiting = [name]
    while waiting:
        text = texts.pop(waiting.pop(), "")
        combined += text
        waiting += re.findall(r"[Tt]hose of `([a-z0-9-]+)`", text)
    return combined


@pytest.mark.parametrize("name", DEPARTURES)
def test_departures_are_those_that_the_file_names(name: str) -> None:
    authors_settings, departures = DEPARTURES[name]
    settings = flat(recipe_to_dict(PRESETS[name]))
    assert authors_settings.keys() <= settings.keys()
    differing = {
        setting: settings[setting]
        for setting in authors_settings
        if settings[setting] != authors_settings[setting]
    }
    assert differing == {setting: value for setting, (value, _) in departures.items()}
    text = text_of(name)
    for setting, (_, phrase) in departures.items():
        assert phrase in text, setting


def table_of_departures(name: str) -> dict[str, tuple[str, str]]:
    """Rows of docs/paper.md about a recipe: the authors' value and ours of each setting that differs."""
    text = (Path(__file__).parents[2] / "docs" / "paper.md").read_text(encoding="utf-8")
    table = re.search(
        rf"<!-- departures: {name}(?:, those of (\S+))? -->(.*?)\n\n(?!\|)", text, re.S
    )
    assert table is not None
    rows = dict(table_of_departures(table[1])) if table[1] else {}
    for setting, authors_value, own_value in re.findall(
        r"^\| `(\w+(?:\.\w+)*)` \| (.*?) \| (.*?) \|", table[2], re.M
    ):
        rows[setting] = (authors_value, own_value)
    return rows


@pytest.mark.parametrize("name", [name for name in DEPARTURES if DEPARTURES[name][1]])
def test_the_page_on_the_paper_has_them_all(name: str) -> None:
    authors_settings, departures = DEPARTURES[name]
    settings = flat(recipe_to_dict(PRESETS[name]))
    assert table_of_departures(name) == {
        setting: (
            str(authors_settings[setting]),
            "unset" if settings[setting] is None else str(settings[setting]),
        )
        for setting in departures
    }


@pytest.mark.parametrize("name", DEPARTURES)
def test_no_setting_is_left_out(name: str) -> None:
    authors_settings, _ = DEPARTURES[name]
    settings = flat(recipe_to_dict(PRESETS[name]))
    unlisted = settings.keys() - authors_settings.keys() - NO_EFFECT_BY_RECIPE[name]
    relevant = {setting for setting in unlisted if not NO_EFFECT.fullmatch(setting)}
    assert {setting: settings[setting] for setting in relevant} == {
        setting: value for setting, value in WITHOUT_COUNTERPART.items() if setting in settings
    }


def test_our_methods_are_the_script_for_samples_with_two_more_techniques() -> None:
    assert changes(PRESETS["cifar10-samples"], PRESETS["cifar10-mb"]) == {
        "networks.generator_normalization": "virtual",
        "objective.real_or_generated.positive_target": 0.9,
    }


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("vbn-bn", {"networks.generator_normalization": "batch"}),
        (
            "l-ha",
            {"objective.supervised.weight": 0.0, "objective.historical_averaging.weight": 0.1},
        ),
        ("ls", {"objective.real_or_generated.positive_target": 1.0}),
        ("l", {"objective.supervised.weight": 0.0}),
        ("mbf", {"networks.minibatch_kernels": 0}),
    ],
)
def test_an_ablation_differs_by_the_technique_that_it_names(
    row: str, expected: dict[str, Any]
) -> None:
    assert changes(PRESETS[f"cifar10-samples-{row}"], PRESETS["cifar10-samples"]) == expected
