"""Recipes: complete on disk, validated, compared by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.recipes.files import (
    FREE_TO_CHANGE,
    first_difference,
    read_recipe,
    recipe_from_dict,
    recipe_sha256,
    recipe_to_dict,
    recipe_to_yaml,
)
from convergan.recipes.presets import PRESETS, SUMMARIES
from convergan.recipes.settings import ConvSettings, DataSettings, MLPSettings, Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_yaml_holds_the_whole_recipe(name: str, tmp_path: Path) -> None:
    recipe = replace(PRESETS[name], data=replace(PRESETS[name].data, path=Path("/some/where")))
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(recipe))
    assert read_recipe(tmp_path / "recipe.yaml") == recipe
    assert SUMMARIES[name]


def test_settings_of_the_paper() -> None:
    mnist, cifar, svhn = PRESETS["mnist"], PRESETS["cifar10"], PRESETS["svhn"]
    assert isinstance(mnist.networks, MLPSettings)
    assert mnist.networks.hidden == (1000, 500, 250, 250, 250)
    assert (mnist.networks.input_noise, mnist.networks.hidden_noise) == (0.3, 0.5)
    assert (mnist.batch_size, mnist.optimizer.beta1, mnist.optimizer.beta2) == (100, 0.5, 0.999)
    assert mnist.objective.feature_distance == "squared"
    for recipe, width, epochs, constant in ((cifar, 96, 1200, 800), (svhn, 64, 900, 600)):
        assert isinstance(recipe.networks, ConvSettings)
        assert (recipe.networks.width, recipe.epochs) == (width, epochs)
        assert recipe.optimizer.decay_from * recipe.epochs == pytest.approx(constant)
        assert recipe.optimizer.learning_rate == 3e-4
        assert recipe.objective.feature_distance == "absolute"
    for recipe in (mnist, cifar, svhn):
        assert recipe.objective.unsupervised_weight == 0.5
        assert (recipe.optimizer.beta1, recipe.optimizer.beta2) == (0.5, 0.999)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "recipe.yaml: epochs: expected 1 to 1,000,000, got 0"),
        ({"batch_size": 1}, "batch_size: expected 2 to 65,536, got 1"),
        ({"networks": {"kind": "mlp", "colour": 3}}, "colour"),
        ({"networks": {"kind": "rnn"}}, "rnn"),
        (
            {"data": {"validation_share": 1.0}},
            "data.validation_share: expected 0 or more, below 1, got 1.0",
        ),
        ({"speed": "fast"}, "speed"),
        ({"epochs": "many"}, "epochs"),
    ],
)
def test_impossible_settings_are_named(change: dict, message: str) -> None:
    values = recipe_to_dict(PRESETS["digits"]) | change
    with pytest.raises(UserError) as caught:
        recipe_from_dict(values, "recipe.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_networks_is_named_whatever_their_kind() -> None:
    values = recipe_to_dict(PRESETS["cifar10"])
    for change, message in (
        (
            {"widht": 96},
            "networks.widht: expected the name of a setting, perhaps width, got another",
        ),
        ({"width": "many"}, "networks.width: "),
        ({"kind": "rnn"}, "networks.kind: expected one of mlp, conv, imagenet, got 'rnn'"),
    ):
        with pytest.raises(UserError, match=message):
            recipe_from_dict(values | {"networks": values["networks"] | change}, "recipe.yaml")


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(UserError, match=r"recipe.yaml: expected a recipe.yaml, got No such file"):
        read_recipe(path)
    path.write_text("a: [")
    with pytest.raises(UserError, match=r"recipe.yaml: expected a recipe.yaml, got while parsing"):
        read_recipe(path)
    path.write_text("just words")
    with pytest.raises(UserError, match=r"recipe.yaml"):
        read_recipe(path)


def test_first_difference_names_the_setting() -> None:
    recipe = PRESETS["digits"]
    assert first_difference(recipe, recipe) is None
    changed = replace(recipe, optimizer=replace(recipe.optimizer, beta1=0.9))
    assert first_difference(recipe, changed) == ("optimizer.beta1", 0.5, 0.9)
    conv = replace(recipe, networks=ConvSettings())
    difference = first_difference(recipe, conv)
    assert difference is not None and difference[0] == "networks.kind"
    moved = replace(recipe, data=DataSettings(source="digits", cache=Path("/else")))
    assert first_difference(recipe, moved, ["data.cache"]) is None


def test_the_hash_tells_recipes_apart_that_give_other_results(tmp_path: Path) -> None:
    hashes = {recipe_sha256(recipe) for recipe in PRESETS.values()}
    assert len(hashes) == len(PRESETS) and all(len(each) == 64 for each in hashes)
    recipe = PRESETS["digits"]
    for name, value in (
        ("seed", 1),
        ("labels", None),
        ("data.split_seed", 0),
        ("optimizer.beta1", 0.9),
        ("networks.hidden_noise", 0.1),
        ("networks.hidden", [10]),
    ):
        assert recipe_sha256(_changed(recipe, name, value)) != recipe_sha256(recipe), name
    # All defaults: only the kind of networks differs.
    kinds = [replace(recipe, networks=networks) for networks in (ConvSettings(), MLPSettings())]
    assert recipe_sha256(kinds[0]) != recipe_sha256(kinds[1])


def test_the_hash_is_that_of_every_recipe_that_may_resume_the_run(tmp_path: Path) -> None:
    recipe = PRESETS["digits"]
    for name, value in zip(FREE_TO_CHANGE, ("/a", "/b", 7, 3), strict=True):
        assert recipe_sha256(_changed(recipe, name, value)) == recipe_sha256(recipe), name
    (tmp_path / "recipe.yaml").write_text(recipe_to_yaml(recipe))
    assert recipe_sha256(read_recipe(tmp_path / "recipe.yaml")) == recipe_sha256(recipe)
    # Python takes a whole number for a float, and both write 1 or 1.0.
    whole, real = (
        replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=rate))
        for rate in (1, 1.0)
    )
    assert recipe_sha256(whole) == recipe_sha256(real)


def _changed(recipe: Recipe, name: str, value: object) -> Recipe:
    values = recipe_to_dict(recipe)
    *groups, last = name.split(".")
    group = values
    for each in groups:
        group = group[each]
    assert last in group
    group[last] = value
    return recipe_from_dict(values, "changed")


def test_every_setting_is_documented_beneath_it() -> None:
    import ast
    import inspect

    from convergan.recipes import settings

    for node in ast.parse(inspect.getsource(settings)).body:
        if isinstance(node, ast.ClassDef):
            fields = [
                place for place, part in enumerate(node.body) if isinstance(part, ast.AnnAssign)
            ]
            for place in fields:
                name = ast.unparse(node.body[place]).split(":")[0]
                if name.startswith("__"):
                    continue
                below = node.body[place + 1]
                assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant), name
    assert isinstance(PRESETS["digits"], Recipe)
