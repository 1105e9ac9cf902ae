"""Ranges: two-sided for every number that a user can set, and the same in every way of setting it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
from annotated_types import Interval

from convergan.cli import main
from convergan.errors import UserError, quoted
from convergan.image_commands import Sample
from convergan.ranges import Checked, declarations, fit
from convergan.recipes.files import recipe_from_dict, recipe_to_dict
from convergan.recipes.networks import ImageNetSettings, MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, HardwareSettings, OptimizerSettings, Recipe
from convergan.scoring.settings import ScoreSettings
from convergan.study.design.plan import Plan

CLASSES: list[Any] = []
PENDING: list[Any] = [Checked]
while PENDING:
    CLASSES.append(PENDING.pop())
    PENDING += CLASSES[-1].__subclasses__()
assert Sample in CLASSES and Plan in CLASSES and ScoreSettings in CLASSES
CLASSES = [cls for cls in CLASSES if "__dataclass_fields__" in vars(cls)]


def numbers(declared: Any, limits: tuple[Any, ...] = ()) -> Iterator[tuple[type, tuple[Any, ...]]]:
    """The number types in a type, each with what is declared beside it in `Annotated`."""
    if get_origin(declared) is Annotated:
        base, *own = get_args(declared)
        yield from numbers(base, tuple(own))
    elif declared in (int, float):
        yield declared, limits
    elif str(get_origin(declared)) != "typing.Literal":
        for argument in get_args(declared):
            yield from numbers(argument)


FIELDS = [
    pytest.param(declared, id=f"{cls.__name__}.{name}")
    for cls in CLASSES
    for name, declared in declarations(cls).items()
    if any(numbers(declared))
]


@pytest.mark.parametrize("declared", FIELDS)
def test_every_number_has_both_ends(declared: Any) -> None:
    for kind, limits in numbers(declared):
        (interval,) = (limit for limit in limits if isinstance(limit, Interval))
        assert (interval.ge is None) != (interval.gt is None)
        assert (interval.le is None) != (interval.lt is None)
        own = Annotated[(kind, *limits)]
        for end in (interval.ge, interval.le):
            if end is not None:
                assert fit(end, own) == end
        for end in (interval.gt, interval.lt):
            if end is not None:
                with pytest.raises(ValueError):
                    fit(end, own)
        low = interval.ge if interval.ge is not None else interval.gt
        high = interval.le if interval.le is not None else interval.lt
        assert low is not None and high is not None
        step = 2 if kind is int else 0.5
        for value in (low - step, high + step, True, "3", None, math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError):
                fit(value, own)
        with pytest.raises(ValueError):
            fit(10**400, own)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Recipe(name="x", epochs=5_000_000),
            "epochs: expected 1 to 1,000,000, got 5000000",
        ),
        (
            lambda: Recipe(name="x", seed=True),
            "seed: expected a whole number, 0 to 2^63 - 1, got True",
        ),
        (lambda: Recipe(name="x", seed=2**64), f"seed: expected 0 to 2^63 - 1, got {2**64}"),
        (
            lambda: Recipe(name="x", epochs=10**5000),
            "epochs: expected 1 to 1,000,000, got a number of thousands of digits",
        ),
        (
            lambda: Recipe(name="\ud800"),
            r"name: expected text in UTF-8 without NUL, 1 to 200 characters, got '\ud800'",
        ),
        (
            lambda: Recipe(name="../x"),
            "name: expected printable characters without slashes, got '../x'",
        ),
        (
            lambda: Recipe(name="\x1b]0;x\x07"),
            r"name: expected printable characters without slashes, got '\x1b]0;x\x07'",
        ),
        (
            lambda: DataSettings(path=Path("a\0b")),
            r"data.path: expected a path in UTF-8 without NUL, or None, got 'a\x00b'",
        ),
        (
            lambda: DataSettings(path=Path("a\udcff")),
            r"data.path: expected a path in UTF-8 without NUL, or None, got 'a\udcff'",
        ),
        (lambda: DataSettings(folds=1), "data.folds: expected 0, or 2 to 1000, got 1"),
        (lambda: DataSettings(skip_unreadable=1), "data.skip-unreadable: expected true or false"),
        (
            lambda: MLPSettings(hidden=(3, 0)),
            "networks.hidden: expected 1 to 100 values, each 1 to 65,536, got (3, 0)",
        ),
        (
            lambda: ImageNetSettings(noise_maps=(1, 2)),
            "networks.noise-maps: expected 6 values, each 0 to 4096, got (1, 2)",
        ),
        (
            lambda: OptimizerSettings(epsilon=math.inf),
            "optimizer.epsilon: expected 1e-30 to 100, got inf",
        ),
        (
            lambda: HardwareSettings(precision="fp16"),
            "hardware.precision: expected one of auto, fp32, bf16, got 'fp16'",
        ),
        (lambda: HardwareSettings(threads=10**6), "hardware.threads: expected 1 to 1024, got 1000"),
        (lambda: ScoreSettings(pixel_range=(0, math.nan)), "pixel-range: expected 2 values, each"),
        (lambda: ScoreSettings(count=0), "count: expected 1 to 100,000,000, got 0"),
        (lambda: ScoreSettings(metrics=("is", "is")), "metrics: expected each once, got ('is',"),
        (lambda: Plan(trials=7), "trials: expected an even number, 2 to 10,000, got 7"),
    ],
)
def test_what_is_outside_is_refused_in_a_short_line(make: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("epochs", 0, "1 to 1,000,000"),
        ("epochs", 10**12, "1 to 1,000,000"),
        ("labels", -1, "1 to 1,000,000,000"),
        ("data.size_px", 100_000, "8 to 4096"),
        ("data.validation_share", math.nan, "0 or more, below 1"),
        ("networks.hidden_noise", math.inf, "0 to 1000"),
        ("objective.generator_steps", 10**9, "1 to 1000"),
        ("hardware.devices", 10**6, "1 to 256"),
    ],
)
def test_python_files_and_command_line_say_the_same(
    name: str, value: float, range_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = PRESETS["digits"]
    group, _, last = name.rpartition(".")
    option = name.replace("_", "-")
    with pytest.raises(UserError) as caught:
        settings: Any = getattr(recipe, group) if group else recipe
        replace(settings, **{last: value})
    assert str(caught.value) == f"{option}: expected {range_}, got {value}"

    values = recipe_to_dict(recipe)
    (values[group] if group else values)[last] = value
    with pytest.raises(UserError) as caught:
        recipe_from_dict(values, "recipe.yaml")
    assert (
        str(caught.value).replace("_", "-")
        == f"recipe.yaml: {option}: expected {range_}, got {value}"
    )

    assert main(["train", "digits", f"--{option}", str(value)]) == 1
    assert capsys.readouterr().err == (
        f"convergan: --{option}: expected {range_}, got {value}"
        " (see convergan train digits --help)\n"
    )


def test_numbers_of_numpy_lists_and_text_become_what_is_declared() -> None:
    recipe = Recipe(
        name="x",
        seed=np.int64(3),
        data=DataSettings(path="some/where"),
        networks=MLPSettings(hidden=[np.int32(4), 5]),
        optimizer=OptimizerSettings(learning_rate=1, beta1=np.float64(0.5)),
    )
    assert recipe == recipe_from_dict(recipe_to_dict(recipe), "recipe")
    assert type(recipe.seed) is int and type(recipe.optimizer.learning_rate) is float
    assert recipe.data.path == Path("some/where")
    assert isinstance(recipe.networks, MLPSettings) and recipe.networks.hidden == (4, 5)


def test_quoted_is_short_whatever_the_value() -> None:
    nested: list[Any] = ["x" * 1000] * 1000
    for _ in range(30):
        nested = [nested] * 9
    for value in (nested, "x" * 10**6, {1: nested}, b"y" * 10**5, 10**5000, Path("z" * 4000)):
        assert len(quoted(value)) <= 300
    assert quoted("a\nb\x1b") == r"'a\nb\x1b'"
    assert quoted(Path("a")) == "'a'"
