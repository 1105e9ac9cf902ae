"""The settings of the objective's terms, and those of terms that others register."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from annotated_types import Interval

from convergan.cli import main
from convergan.errors import UserError
from convergan.options import parse_options
from convergan.recipes.files import (
    first_difference,
    read_recipe,
    recipe_from_dict,
    recipe_sha256,
    recipe_to_dict,
    recipe_to_yaml,
)
from convergan.recipes.former import FORMER_OBJECTIVE
from convergan.recipes.objective import (
    TERM_SETTINGS,
    ObjectiveSettings,
    declared_terms,
    register_term_settings,
)
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import MinimaxSettings, SupervisedSettings, TermSettings
from convergan.train_commands import TrainRecipe


@dataclass(frozen=True, kw_only=True)
class EntropySettings(TermSettings):
    """A term with settings of several kinds."""

    temperature: Annotated[float, Interval(gt=0, le=100)] = 1.0
    steps: Annotated[tuple[Annotated[int, Interval(ge=0, le=9)], ...], "some"] = (1, 2)
    folder: Path | None = None
    sharp: bool = False


@dataclass(frozen=True, kw_only=True)
class GradientSettings(TermSettings):
    """A term with a weight alone, on unless stated otherwise."""

    weight: Annotated[float, Interval(ge=0, le=10)] = 2.0


@pytest.fixture
def registered() -> Iterator[None]:
    """Register two terms for the test alone."""
    register_term_settings("entropy", EntropySettings)
    register_term_settings("gradient_penalty", GradientSettings)
    yield
    forget()


def forget() -> None:
    for settings in TERM_SETTINGS.values():
        settings.take_name("")
    TERM_SETTINGS.clear()


def recipe_with(*terms: TermSettings) -> Recipe:
    objective = PRESETS["digits"].objective
    for term in terms:
        objective = objective.with_term(term)
    return replace(PRESETS["digits"], objective=objective)


def test_terms_by_name_in_their_order() -> None:
    objective = PRESETS["mnist-mb"].objective
    terms = objective.terms()
    assert [*terms] == [
        *("supervised", "real_or_generated", "feature_matching", "minimax", "non_saturating"),
        *("target", "historical_averaging", "consistency", "conditional_entropy", "pull_away"),
    ]
    for name, settings in terms.items():
        assert getattr(objective, name) is settings and settings.term_name == name
        assert declared_terms()[name] is type(settings)
    weights = {name: settings.weight for name, settings in terms.items() if settings.weight}
    assert weights == {"supervised": 1.0, "real_or_generated": 0.5, "non_saturating": 1.0}
    assert objective.is_supervised
    assert not objective.with_term(SupervisedSettings(weight=0.0)).is_supervised


def test_others_follow_in_one_order(registered: None) -> None:
    second, first = GradientSettings(), EntropySettings(weight=0.5)
    objective = recipe_with(second, first).objective
    assert objective.others == (first, second)
    assert objective == recipe_with(first, second).objective
    assert [*objective.terms()][-2:] == ["entropy", "gradient_penalty"]
    changed = objective.with_term(GradientSettings(weight=3.0))
    assert changed.others == (first, GradientSettings(weight=3.0))
    assert changed.with_term(MinimaxSettings(weight=0.1)).others == changed.others


def test_settings_of_others_are_written_and_read_like_the_declared(
    registered: None, tmp_path: Path
) -> None:
    recipe = recipe_with(
        EntropySettings(weight=0.1, temperature=1 / 3, steps=(3,), folder=Path("a b"), sharp=True),
        GradientSettings(),
    )
    values = recipe_to_dict(recipe)["objective"]
    assert "others" not in values
    assert values["gradient_penalty"] == {"weight": 2.0}
    assert values["entropy"] == {
        **{"weight": 0.1, "temperature": 1 / 3, "steps": [3], "folder": "a b", "sharp": True}
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_to_yaml(recipe))
    assert "\n  gradient_penalty:\n    weight: 2.0\n" in path.read_text()
    loaded = read_recipe(path)
    assert loaded == recipe and first_difference(loaded, recipe) is None
    assert recipe_sha256(loaded) == recipe_sha256(recipe)
    parts = recipe_from_dict({"name": "x", "objective": {"entropy": {"weight": "1e-2"}}}, "y")
    assert parts.objective.others == (EntropySettings(weight=0.01),)


def test_settings_of_others_count_in_hash_and_difference(registered: None) -> None:
    recipes = [
        recipe_with(*terms)
        for terms in (
            [],
            [GradientSettings()],
            [GradientSettings(weight=1.0)],
            [EntropySettings(weight=1.0)],
            [EntropySettings(weight=1.0, steps=(1,))],
            [EntropySettings(weight=1.0), GradientSettings()],
        )
    ]
    assert len({recipe_sha256(recipe) for recipe in recipes}) == len(recipes)
    assert recipe_sha256(recipes[0]) == recipe_sha256(PRESETS["digits"])
    name = "objective.gradient_penalty.weight"
    assert first_difference(recipes[1], recipes[2]) == (name, 2.0, 1.0)
    assert first_difference(recipes[0], recipes[1]) == (name, None, 2.0)


def test_options_leave_settings_of_others_as_they_are(registered: None) -> None:
    start = TrainRecipe(recipe=recipe_with(GradientSettings(weight=3.0)))
    words = ["--objective.generator", "minimax", "--seed", "3"]
    recipe = parse_options(TrainRecipe, words, program="train", default=start).recipe
    assert recipe.objective.others == (GradientSettings(weight=3.0),)
    assert recipe.objective.minimax.weight == 1.0


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            {"entropy": {"temperature": 0}},
            "entropy.temperature: expected above 0, at most 100, got 0",
        ),
        (
            {"entropy": {"temperature": True}},
            "entropy.temperature: expected a number, above 0, at most 100, got True",
        ),
        ({"entropy": {"weight": -1}}, "entropy.weight: expected 0 to 1,000,000, got -1"),
        ({"entropy": {"wait": 1}}, "entropy.wait: expected the name of a setting, perhaps weight,"),
        ({"entropy": 3}, "entropy: expected settings by name, got 3"),
        ({"entropi": {}}, "entropi: expected the name of a setting, perhaps entropy, got another;"),
        ({"others": []}, "others: expected the name of a setting"),
        ({"minimax": 1.0}, "minimax: expected settings by name, got 1.0"),
        ({"generator": "minimax", "minimax": 1}, "minimax: expected settings by name, got 1"),
        ({"minimax": {"weight": 1e9}}, "minimax.weight: expected 0 to 1,000,000, got 1000000000.0"),
        (
            {"feature_matching": {"distance": "cubic"}},
            "feature_matching.distance: expected one of squared, absolute, got 'cubic'",
        ),
        (
            {"target": {"wait": 1}},
            "target.wait: expected the name of a setting, perhaps weight, got",
        ),
        (
            {"target": {"weight": False}},
            "target.weight: expected a number, 0 to 1,000,000, got False",
        ),
        ({3: {}}, "3: expected the name of a setting, got another"),
    ],
)
def test_what_a_file_cannot_say(registered: None, objective: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        recipe_from_dict({"name": "x", "objective": objective}, "recipe.yaml")
    assert str(caught.value).startswith(f"recipe.yaml: objective.{message}")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 250


def test_a_term_that_nobody_has_registered_is_named(registered: None, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_to_yaml(recipe_with(GradientSettings())))
    forget()
    with pytest.raises(UserError) as caught:
        read_recipe(path)
    assert str(caught.value) == (
        f"{path}: objective.gradient_penalty: expected the name of a setting, got another; "
        "a term of your own must be registered first"
    )
    assert main(["train", "--from", str(path)]) == 1


def test_ranges_name_the_term(registered: None) -> None:
    for make, message in (
        (lambda: MinimaxSettings(weight=-1.0), "objective.minimax.weight: expected 0 to 1,000,000"),
        (
            lambda: GradientSettings(weight=11),
            "objective.gradient-penalty.weight: expected 0 to 10",
        ),
        (lambda: EntropySettings(steps=(10,)), "objective.entropy.steps: expected several values"),
        (lambda: EntropySettings(sharp=1), "objective.entropy.sharp: expected true or false"),
    ):
        with pytest.raises(UserError) as caught:
            make()
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "Entropy",
            "my-term",
            "_term",
            "term_",
            "a__b",
            "3d",
            "größe",
            "a b",
            "class",
            3,
            None,
        ),
        "a\n",
    ],
)
def test_names_that_no_term_can_have(name: Any) -> None:
    with pytest.raises(UserError, match=r"^name: expected the name of a term as in my_term, got "):
        register_term_settings(name, EntropySettings)
    assert not TERM_SETTINGS


@pytest.mark.parametrize(
    "name", [*declared_terms(), *FORMER_OBJECTIVE, "generator_steps", "others", "entropy"]
)
def test_names_that_are_taken(registered: None, name: str) -> None:
    original = dict(TERM_SETTINGS)
    with pytest.raises(
        UserError, match=f"expected one that is free, got {name}, which is taken by"
    ):
        register_term_settings(name, GradientSettings)
    assert original == TERM_SETTINGS and GradientSettings.term_name == "gradient_penalty"


class NotDecorated(TermSettings):
    """Settings without the decorator of a dataclass."""

    slope: float = 1.0


@dataclass(frozen=True)
class NotDerived:
    weight: float = 1.0


@pytest.mark.parametrize("settings", [NotDecorated, NotDerived, dict, EntropySettings(), None])
def test_classes_that_are_no_settings_of_a_term(settings: Any) -> None:
    with pytest.raises(
        UserError, match=r"^settings: expected a frozen dataclass derived from Term"
    ):
        register_term_settings("mine", settings)
    assert not TERM_SETTINGS


def test_a_class_has_one_name_and_may_be_registered_again(registered: None) -> None:
    register_term_settings("entropy", EntropySettings)
    for settings, name in ((EntropySettings, "entropy"), (MinimaxSettings, "minimax")):
        with pytest.raises(UserError, match=f"expected a class without a name.*that of {name}$"):
            register_term_settings("other", settings)

    def cell() -> type[TermSettings]:
        @dataclass(frozen=True, kw_only=True)
        class CustomSettings(TermSettings):
            weight: Annotated[float, Interval(ge=0, le=1)] = 1.0

        register_term_settings("mine", CustomSettings)
        return CustomSettings

    # As a cell of a notebook that runs a second time.
    first, second = cell(), cell()
    assert first is not second and TERM_SETTINGS["mine"] is second
    assert ObjectiveSettings().with_term(second()).others == (second(),)


def test_only_registered_terms_are_others(registered: None) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Unknown(TermSettings):
        word: ClassVar[str] = "unknown"

    @dataclass(frozen=True, kw_only=True)
    class Derived(MinimaxSettings):
        """A subclass that is none of the declared settings: files would lose its fields."""

        slope: Annotated[float, Interval(ge=0, le=1)] = 0.5

    for make in (
        lambda: ObjectiveSettings().with_term(Unknown()),
        lambda: ObjectiveSettings(others=(Unknown(),)),
        lambda: ObjectiveSettings(others=(MinimaxSettings(),)),
        lambda: ObjectiveSettings().with_term(Derived(slope=1.0)),
    ):
        with pytest.raises(UserError, match=r"^objective: expected settings of a term as it is "):
            make()
    with pytest.raises(UserError, match=r"^objective.minimax: expected MinimaxSettings, got "):
        ObjectiveSettings(minimax=Derived())
    with pytest.raises(UserError, match=r"^objective.others: expected each term once"):
        ObjectiveSettings(others=(GradientSettings(), GradientSettings(weight=1.0)))


def test_the_help_of_terms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["train", "digits", "--help"])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    flat = " ".join(output.replace("│", " ").split())
    for name in declared_terms():
        term = f"objective.{name.replace('_', '-')}"
        assert f" {term} options " in flat and f"--{term}.weight FLOAT Weight of " in flat
    assert flat.count("(0 to 1,000,000) (default: 0.0)") == 7
    assert "--objective.target.probability FLOAT" in flat and "(above 0, at most 1)" in flat
    assert "{squared,absolute}" in flat and "others" not in flat
    for former in ("objective.generator ", "objective.discriminator ", "unsupervised"):
        assert former not in flat
