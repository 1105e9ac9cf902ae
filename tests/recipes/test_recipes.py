"""Recipes: complete on disk, validated, compared by name."""

import time
from dataclasses import replace
from pathlib import Path
from random import Random

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
from convergan.recipes.networks import ConvSettings, MLPSettings
from convergan.recipes.presets import PRESETS, SUMMARIES
from convergan.recipes.settings import DataSettings, HardwareSettings, OptimizerSettings, Recipe


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
    assert mnist.objective.feature_matching.distance == "squared"
    for recipe, width, epochs, constant in ((cifar, 96, 1200, 800), (svhn, 64, 900, 600)):
        assert isinstance(recipe.networks, ConvSettings)
        assert (recipe.networks.width, recipe.epochs) == (width, epochs)
        assert recipe.optimizer.decay_from * recipe.epochs == pytest.approx(constant)
        assert recipe.optimizer.learning_rate == 3e-4
        assert recipe.objective.feature_matching.distance == "absolute"
    for recipe in (mnist, cifar, svhn):
        assert recipe.objective.real_or_generated.weight == 0.5
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
        ({"kind": "rnn"}, r"networks.kind: expected one of mlp, conv, imagenet, \w+.*, got 'rnn'"),
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


_LAUGHS = "name: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{previous}'] * 9)}]\n"
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_LAUGHS, "expected a recipe.yaml, got an alias, *a, in line 2"),
        ("name: &a\n- *a\n", "expected a recipe.yaml, got an alias, *a, in line 2"),
        ("name: x\nepochs: 3\nepochs: 4\n", "got epochs a second time, in line 3"),
        ("name: x\ndata: {folds: 2, folds: 3}\n", "got folds a second time, in line 2"),
        ("name: x\n<<: {epochs: 5}\n", "got a merge, <<, in line 2"),
        ("name: 2020-13-45", "expected a recipe.yaml, got month must be in 1..12"),
        ("name: !!int x", "expected a recipe.yaml, got invalid literal"),
        ("name: !!timestamp x", "expected a recipe.yaml, got 'NoneType'"),
        ("name: !!bool x", "expected a recipe.yaml, got 'x'"),
        ("name: !!int ''", "expected a recipe.yaml, got string index out of range"),
        ("epochs: " + "[" * 20_000, "expected a recipe.yaml, got maximum recursion depth"),
        ("seed: " + "9" * 5000, "expected a recipe.yaml, got Exceeds the limit"),
        ("a: 1\n" * 20_000, "expected a recipe.yaml, got more than 65,536 bytes"),
        ("? [a]\n: 3", "expected a recipe.yaml, got while constructing a mapping"),
        ("name: !!python/object/apply:os.getcwd []", "expected a recipe.yaml, got could not"),
        ("file_name,label\na.png,cat\n" * 300, "expected a recipe, its settings by name, got text"),
        ("- name", "expected a recipe, its settings by name, got a list alone"),
        ("", "expected a recipe, its settings by name, got nothing alone"),
        ("epochs: 3", "name: expected text in UTF-8 without NUL, 1 to 200 characters, got nothing"),
        (
            "name: " + "x" * 60_000,
            "name: expected text in UTF-8 without NUL, 1 to 200 characters, got",
        ),
        ('name: "\\ud800"', "name: expected text in UTF-8 without NUL"),
        ('name: x\ndata: {path: "a\\0b"}', "data.path: expected a path in UTF-8 without NUL, or"),
        ("name: x\nseed: true", "seed: expected a whole number, 0 to 2^63 - 1, got True"),
        ("name: x\nnetworks: {kind: mlp, hidden: [3, true]}", "networks.hidden: expected 1 to 100"),
        ("name: x\nnetworks: 3", "networks: expected settings by name, got 3"),
        ("name: x\nnetworks: {kind: [mlp]}", "networks.kind: expected one of mlp, conv, imagenet"),
        (
            "name: x\noptimizer: {epsilon: .inf}",
            "optimizer.epsilon: expected 1e-30 to 100, got inf",
        ),
        (
            "name: x\noptimizer: {epsilon: .nan}",
            "optimizer.epsilon: expected 1e-30 to 100, got nan",
        ),
        ("name: x\n1: 2", "1: expected the name of a setting, got another"),
        ("name: x\noptimiser: {}", "optimiser: expected the name of a setting, perhaps optimizer"),
    ],
)
def test_hostile_files_are_refused_in_a_short_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        read_recipe(path)
    assert time.process_time() - start < 5
    error = str(caught.value).removeprefix(f"{path}: ")
    assert message in error
    assert error.isprintable() and len(error) < 400


def test_what_people_write_by_hand_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: x\nepochs: 3.0\noptimizer: {learning_rate: 3e-4, epsilon: 1}\n"
        "networks: {kind: mlp, hidden: [3, 4]}\nhardware: {precision: bf16-mixed, compile: no}\n"
    )
    assert read_recipe(path) == Recipe(
        name="x",
        epochs=3,
        optimizer=OptimizerSettings(learning_rate=3e-4, epsilon=1.0),
        networks=MLPSettings(hidden=(3, 4)),
        hardware=HardwareSettings(precision="bf16"),
    )


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
    assert len(hashes) == len(PRESETS) and all(len(digest) == 64 for digest in hashes)
    recipe = PRESETS["digits"]
    for name, value in (
        ("seed", 1),
        ("labels", None),
        ("data.split_seed", 0),
        ("optimizer.beta1", 0.9),
        ("networks.hidden_noise", 0.1),
        ("networks.hidden", [10]),
        ("augmentation.kind", "digits"),
        ("augmentation.cutout", 0.5),
        ("data.flip", True),
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
    integer, real = (
        replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=rate))
        for rate in (1, 1.0)
    )
    assert recipe_sha256(integer) == recipe_sha256(real)


def _changed(recipe: Recipe, name: str, value: object) -> Recipe:
    values = recipe_to_dict(recipe)
    *groups, last = name.split(".")
    group = values
    for group_name in groups:
        group = group[group_name]
    assert last in group
    group[last] = value
    return recipe_from_dict(values, "changed")


def test_every_setting_is_documented_beneath_it() -> None:
    import ast
    import inspect

    from convergan.recipes import augmentation, objective, settings, terms

    for node in ast.parse(
        "".join(map(inspect.getsource, (augmentation, settings, objective, terms)))
    ).body:
        if isinstance(node, ast.ClassDef):
            fields = [
                place for place, part in enumerate(node.body) if isinstance(part, ast.AnnAssign)
            ]
            for place in fields:
                name = ast.unparse(node.body[place]).split(":")[0]
                if name.startswith("__"):
                    continue
                text = node.body[place + 1]
                assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant), name
    assert isinstance(PRESETS["digits"], Recipe)


_NASTY = (
    *("2020-13-45", "12:99:99", "!!int x", "!!timestamp x", "*a", "&a", "<<", "[" * 50, "{", "}"),
    *("? ", ": ", "- ", ".inf", "-.inf", ".nan", "1e999", "9" * 30, "-1", "true", "null", "''"),
    *('"\\ud800"', '"\\0"', "\x1b", "\u2028", "!!binary x", "!!set {a}", "!!omap [a: b]", "\t"),
    *("3", "12", "0.25", "1e-3", "x", "auto", "[3, 4]"),
    *("!!python/name:os.system", "%YAML 9.9", "---", "...", "#", "|", ">"),
)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_are_read_or_refused_in_a_line(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    path = tmp_path / "recipe.yaml"
    refused = 0
    for _ in range(150):
        content = bytearray(recipe_to_yaml(PRESETS[random.choice(list(PRESETS))]).encode())
        for _ in range(random.choice((1, 1, 1, 2))):
            place = random.randrange(len(content))
            match random.randrange(4):
                case 0:
                    content[place] ^= 1 << random.randrange(8)
                case 1:
                    del content[place : place + random.randint(1, 40)]
                case 2:
                    content[place:place] = random.choice(_NASTY).encode()
                case _:
                    # In place of a value.
                    start = content.find(b": ", place) + 2
                    end = content.find(b"\n", start)
                    content[start:end] = random.choice(_NASTY).encode()
        path.write_bytes(content)
        try:
            recipe = read_recipe(path)
        except UserError as problem:
            refused += 1
            message = str(problem).removeprefix(str(path))
            assert message.isprintable() and len(message) < 500
        else:
            # Whatever is read can be written, read again and identified by its hash.
            assert recipe_from_dict(recipe_to_dict(recipe), "again") == recipe
            assert len(recipe_sha256(recipe)) == 64
    assert 0 < refused < 150
