"""Former names of the objective's settings: in files, on the command line, and in the hashes of recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convergan.cli import main
from convergan.errors import UserError
from convergan.options import parse_options
from convergan.recipes.files import read_recipe, recipe_from_dict, recipe_sha256, recipe_to_dict
from convergan.recipes.former import FORMER_OBJECTIVE, replacing
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    HistoricalAveragingSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    RealOrGeneratedSettings,
    SupervisedSettings,
    TargetSettings,
)
from convergan.train_commands import TrainRecipe
from support import FORMER

OLD_RUNS = Path(__file__).parents[1] / "fixtures" / "0.1.0"

# By commit b4354fd, the last one that had these names alone.
HASHES = [
    (
        "digits",
        "f44870583d74995cdc2845cd56edf200ea53a4b89a82c8ed219a4808cc709b58",
    ),
    (
        "mnist",
        "98b7051d40373ff742140d2e8b83d688192c692d4fc472fcaf53d6ae228c3aeb",
    ),
    (
        "mnist-mb",
        "d548a49f68d52d9ee4d605c55b1611b1b87ce690005ec23542f572e60fd651c9",
    ),
    (
        "cifar10",
        "63add35b17d7e388b3f8eb359f46513495d13a1ef16a8a436c874f98c0196094",
    ),
    (
        "svhn",
        "32c98cf6cf405f026db82b6157bfc70b26074c85026bbcd00812439fe129af4f",
    ),
    (
        "imagenet",
        "ec8a9c94df98794eac37c6f54c58cd9a9b22cd16ff8daa1d75089525c419c5f0",
    ),
    (
        "folder",
        "96d64630e338fe1bd2a4c875049828a544c5a5ac2690eff7bd7deea2dc9cdfd3",
    ),
    (
        "digits --objective.generator minimax",
        "a9aa39473bf5206dc1d6918047a82d01f0d7c4fb6de85b725e8eae90ab7ad557",
    ),
    (
        "digits --objective.generator=non-saturating --objective.generator-steps 3",
        "65f062abe7de2c340d61013c53e465bd8cf974a1b1bb8dfd66b95ae94e71ebd1",
    ),
    (
        "digits --objective.generator target --objective.generator_target 0.4",
        "03acbb164b62e9dcac4e2fb67e2b73607ef344157df9e155b573a45b288e8052",
    ),
    (
        "digits --objective.discriminator binary",
        "b357c0466a592e58363d043a8253fd4703ba3377b4dd5557846d4ee715660961",
    ),
    (
        "digits --objective.discriminator binary --objective.unsupervised-weight 1"
        " --objective.positive-target 0.9",
        "4f3ec93787e71f9f86b9db140f00409a9e33c975ac3f81b6c978befd3839b1c9",
    ),
    (
        "mnist --objective.unsupervised_weight=1e-1",
        "1d226878bb5862714ab72465c7909f5c872592f5ac50177653579e3ebfcfbcd4",
    ),
    (
        "mnist --objective.historical-averaging 1",
        "d84b0d7a43eb29dbccdcacb619f2c9872f6365c59d23636fcac37892dcf6e3a8",
    ),
    (
        "mnist --objective.feature-distance absolute --seed 7 --labels 50",
        "ea3141aef72c4d92b4656ef1ffc1a8d2c95ad85427c258a046b402b654fbe781",
    ),
    (
        "mnist-mb --objective.generator feature-matching",
        "10cff6375f05595203aec2803001563da964d4f43b5fbe71f85e33c564083b73",
    ),
    (
        "mnist-mb --objective.generator minimax --objective.positive-target 1.0",
        "a357ee57bd890bc7a0604d7c51bd8bc02ce7b69ce3a8b75d5570461787afca16",
    ),
    (
        "cifar10 --objective.feature-distance squared --objective.historical-averaging 0.001",
        "77b96e0dfe38937d54024e88770553237c9ce9bfa72afdc3f001acb4f52f90f2",
    ),
    (
        "cifar10 --objective.generator-target 0.5",
        "5ffd33a7e2f01c2809b5e06659cddc58d4bc44024e2b9a8135333797789c025d",
    ),
    (
        "svhn --objective.discriminator semi-supervised --objective.generator feature-matching",
        "32c98cf6cf405f026db82b6157bfc70b26074c85026bbcd00812439fe129af4f",
    ),
    (
        "imagenet --objective.generator non-saturating",
        "e45bb7237d5024b1699839989161a56e0e758aee47f65ecc61109f18af1a4762",
    ),
    (
        "imagenet --objective.unsupervised-weight 0.5 --objective.positive-target 1"
        " --objective.generator feature-matching",
        "48657ce74dbfbb537a5c9b5aaf3b5a31b13e337d9bf4dbe1db30263deff6a0e2",
    ),
    (
        "folder --objective.generator minimax --networks.minibatch-kernels 100"
        " --objective.generator-steps 2 --objective.historical-averaging 1e-3"
        " --optimizer.beta1 0.4",
        "174031a535627b944f42bfff3d0136848abf0170d20f4182db36eef07b66d35c",
    ),
]
HASHES_OF_RUNS = {
    "digits/finished": "28bf7b286a848a8df276550db07634b1246d53b0d0f87fdd639a1bc0686e6711",
    "digits/stopped": "28bf7b286a848a8df276550db07634b1246d53b0d0f87fdd639a1bc0686e6711",
    "folder/finished": "59079badc4e84ac1a7481089a707a31c5ba63e5450659ba817816c30f4cd77af",
    "folder/stopped": "59079badc4e84ac1a7481089a707a31c5ba63e5450659ba817816c30f4cd77af",
    "imagenet/finished": "bd19bed8152bbb6cfb712b6e64fe53db0b3b2aa96e41d78144eaeea5b1c56eb4",
    "imagenet/stopped": "bd19bed8152bbb6cfb712b6e64fe53db0b3b2aa96e41d78144eaeea5b1c56eb4",
    "minibatch/finished": "dc84fddb65f37f6cb1135b98ad9711247557228baa1855b455406a4143a7cf27",
    "minibatch/stopped": "dc84fddb65f37f6cb1135b98ad9711247557228baa1855b455406a4143a7cf27",
}


def parsed(*words: str, start: Recipe = PRESETS["digits"]) -> Recipe:
    """The recipe that options make of another."""
    default = TrainRecipe(recipe=start)
    recipe = parse_options(TrainRecipe, list(words), program="train", default=default).recipe
    assert isinstance(recipe, Recipe)
    return recipe


def read(objective: dict[str, Any]) -> ObjectiveSettings:
    """The objective of a file that says nothing else."""
    return recipe_from_dict({"name": "x", "objective": objective}, "recipe.yaml").objective


@pytest.mark.parametrize(("words", "expected"), HASHES)
def test_the_hash_is_that_of_before(words: str, expected: str) -> None:
    name, *options = words.split()
    recipe = parsed(*options, start=(PRESETS | FORMER)[name])
    assert recipe_sha256(recipe) == expected
    # Written with present names and read again.
    assert recipe_sha256(recipe_from_dict(recipe_to_dict(recipe), "again")) == expected


@pytest.mark.parametrize("run", HASHES_OF_RUNS)
def test_the_hash_of_an_old_file_is_that_of_before(run: str) -> None:
    assert recipe_sha256(read_recipe(OLD_RUNS / run / "recipe.yaml")) == HASHES_OF_RUNS[run]


def test_what_had_no_name_before_has_a_hash_of_its_own() -> None:
    recipe = PRESETS["digits"]
    changes = [
        [],
        [SupervisedSettings(weight=0.0)],
        [SupervisedSettings(weight=0.5)],
        [RealOrGeneratedSettings(weight=0.0)],
        [FeatureMatchingSettings(weight=0.0)],
        [FeatureMatchingSettings(weight=0.5)],
        [MinimaxSettings(weight=1.0)],
        [MinimaxSettings(weight=1.0), FeatureMatchingSettings(weight=0.0)],
        [MinimaxSettings(weight=0.5), FeatureMatchingSettings(weight=0.0)],
        [MinimaxSettings(weight=0.5), FeatureMatchingSettings(weight=0.5)],
        [NonSaturatingSettings(weight=1.0)],
        [NonSaturatingSettings(weight=1.0), FeatureMatchingSettings(weight=0.0)],
        [TargetSettings(weight=1.0)],
        [TargetSettings(weight=1.0, probability=0.5)],
    ]
    hashes = set()
    for terms in changes:
        objective = recipe.objective
        for term in terms:
            objective = objective.with_term(term)
        hashes.add(recipe_sha256(replace(recipe, objective=objective)))
    assert len(hashes) == len(changes)


GENERATORS = {
    "feature-matching": FeatureMatchingSettings,
    "minimax": MinimaxSettings,
    "non-saturating": NonSaturatingSettings,
    "target": TargetSettings,
}


def with_generator(name: str) -> ObjectiveSettings:
    objective = ObjectiveSettings()
    for generator, settings in GENERATORS.items():
        objective = objective.with_term(settings(weight=float(generator == name)))
    return objective


MEANINGS = [
    *(({"generator": name}, with_generator(name)) for name in GENERATORS),
    ({"discriminator": "binary"}, ObjectiveSettings(supervised=SupervisedSettings(weight=0.0))),
    ({"discriminator": "semi-supervised"}, ObjectiveSettings()),
    (
        {"unsupervised_weight": 2, "positive_target": 0.9},
        ObjectiveSettings(
            real_or_generated=RealOrGeneratedSettings(weight=2.0, positive_target=0.9)
        ),
    ),
    (
        {"generator": "target", "generator_target": 0.25},
        with_generator("target").with_term(TargetSettings(weight=1.0, probability=0.25)),
    ),
    (
        {"feature_distance": "absolute"},
        ObjectiveSettings(feature_matching=FeatureMatchingSettings(distance="absolute")),
    ),
    (
        {"historical_averaging": 1e-3},
        ObjectiveSettings(historical_averaging=HistoricalAveragingSettings(weight=1e-3)),
    ),
]


@pytest.mark.parametrize(("former", "expected"), MEANINGS)
def test_former_names_mean_what_they_meant(former: dict, expected: ObjectiveSettings) -> None:
    assert read(former) == expected
    for names in (str, lambda name: name.replace("_", "-")):
        options = [(f"--objective.{names(name)}", str(value)) for name, value in former.items()]
        assert parsed(*(word for option in options for word in option)).objective == expected
        assert parsed(*(f"{option}={value}" for option, value in options)).objective == expected


def test_a_choice_of_one_generator_puts_an_end_to_a_mixture() -> None:
    mixed = replace(PRESETS["mnist-mb"].objective, minimax=MinimaxSettings(weight=0.3))
    start = replace(PRESETS["mnist-mb"], objective=mixed)
    objective = parsed("--objective.generator", "target", start=start).objective
    weights = {name: settings.weight for name, settings in objective.terms().items()}
    assert weights == {
        **{"supervised": 1.0, "real_or_generated": 0.5, "feature_matching": 0.0, "minimax": 0.0},
        **{"non_saturating": 0.0, "target": 1.0, "historical_averaging": 0.0},
        **{"consistency": 0.0, "conditional_entropy": 0.0, "pull_away": 0.0},
    }
    assert objective.generator_steps == 3


def test_what_people_write_by_hand_is_understood() -> None:
    objective = read({"unsupervised_weight": "3e-1", "historical_averaging": "1e-3"})
    assert objective.real_or_generated.weight == 0.3
    assert objective.historical_averaging.weight == 1e-3
    mixed = read({"generator": "target", "target": {"probability": 0.5}})
    assert mixed.target == TargetSettings(weight=1.0, probability=0.5)
    assert mixed.feature_matching.weight == 0


@pytest.mark.parametrize(
    ("former", "expected"),
    [
        (("generator", "gan"), "one of feature-matching, minimax, non-saturating, target"),
        (("discriminator", "unary"), "one of semi-supervised, binary"),
        (("unsupervised_weight", -1), "0 to 1,000,000"),
        (("unsupervised_weight", 1e300), "0 to 1,000,000"),
        (("positive_target", 0.2), "0.5 to 1"),
        (("generator_target", 0), "above 0, at most 1"),
        (("feature_distance", "cubic"), "one of squared, absolute"),
        (("feature_distance", 3), "one of squared, absolute"),
        (("historical_averaging", -0.5), "0 to 1,000,000"),
        (("historical_averaging", "much"), "a number, 0 to 1,000,000"),
    ],
)
def test_an_error_names_what_was_written(
    former: tuple[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, value = former
    with pytest.raises(UserError) as caught:
        read({name: value})
    assert str(caught.value) == f"recipe.yaml: objective.{name}: expected {expected}, got {value!r}"
    option = f"--objective.{name.replace('_', '-')}"
    for words in ([f"--objective.{name}", str(value)], [f"{option}={value}"]):
        assert main(["train", "digits", *words]) == 1
        assert capsys.readouterr().err == (
            f"convergan: {option}: expected {expected}, got {value!r}"
            " (see convergan train digits --help)\n"
        )


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, float("nan"), "", "x" * 10_000])
@pytest.mark.parametrize("name", FORMER_OBJECTIVE)
def test_a_value_of_another_kind_is_one_short_line(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^recipe.yaml: objective.{name}") as caught:
        read({name: value})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize("words", [[], ["--seed", "1"], ["--objective.minimax.weight", "1"]])
def test_a_former_option_without_its_value(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", "--objective.generator", *words]) == 1
    message = capsys.readouterr().err
    assert message.startswith("convergan: --objective.generator: expected a value, got none (")


@pytest.mark.parametrize("name", FORMER_OBJECTIVE)
def test_a_former_name_beside_the_present_one_is_refused(name: str) -> None:
    values: dict[str, Any] = {"generator": "target", "discriminator": "binary"}
    value = values.get(name, "absolute" if name == "feature_distance" else 0.5)
    for setting in replacing(name):
        term, field = setting.split(".")
        present_value = "squared" if field == "distance" else 1.0
        message = (
            f"expected one of it and {{}}objective.{setting}, which is its present name, got both"
        )
        if term != name:
            # Under one name there is one value in a file.
            with pytest.raises(UserError) as caught:
                read({name: value, term: {field: present_value}})
            assert f"objective.{name}: {message.format('')}" in str(caught.value)
        for first in (f"--objective.{name}", f"--objective.{name}".replace("_", "-")):
            options = [f"{first}={value}", f"--objective.{setting}={present_value}"]
            for words in (options, options[::-1]):
                with pytest.raises(UserError) as caught:
                    parsed(*words)
                line = f"--objective.{name}: {message.format('--')}".replace("_", "-")
                assert str(caught.value) == f"{line} (see train --help)"


def test_present_names_alone_are_no_former_ones() -> None:
    objective = read({"historical_averaging": {"weight": 0.5}, "minimax": {"weight": 1}})
    assert objective.historical_averaging.weight == 0.5
    options = ("--objective.historical-averaging.weight=0.5", "--objective.minimax.weight", "1")
    assert parsed(*options).objective == objective
    assert (objective.feature_matching.weight, objective.minimax.weight) == (1.0, 1.0)


def test_the_documentation_names_them() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "run-folder.md").read_text(encoding="utf-8")
    for former in FORMER_OBJECTIVE:
        assert f"`{former}" in page
    page = (docs / "terms.md").read_text(encoding="utf-8")
    for name in ObjectiveSettings().terms():
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("columns", [60, 70, 80, 90])
def test_a_number_is_not_broken_at_its_commas(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in ("historical-averaging", "minimax", "non-saturating", "real-or-generated"):
        option = f"--objective.{name}.weight"
        assert main(["train", "digits", option, "-1"]) == 1
        assert f"{option}: expected 0 to 1,000,000, got -1 (" in capsys.readouterr().err
