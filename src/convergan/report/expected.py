"""Expected curves: test errors by epoch of runs of a recipe, measured for docs/reproduce.md."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Annotated

from annotated_types import Ge
from pydantic import TypeAdapter

from convergan.json_files import parse_json_as
from convergan.recipes.members import model_sha256
from convergan.recipes.settings import Recipe

_COUNT = Annotated[int, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class ExpectedCurve:
    """Test error rates of several runs of one recipe, which differ in their seeds alone."""

    recipe: str
    labels: _COUNT | None
    key: str
    """Key of the recipe, from `curve_key`."""

    seeds: tuple[_COUNT, ...]
    test_size: _COUNT

    epochs: tuple[_COUNT, ...]
    """Selected epochs, the first and the last included."""

    low: tuple[float, ...]
    """Lowest error rate of the runs after each of these epochs, 0 to 1."""

    mean: tuple[float, ...]
    high: tuple[float, ...]


_CURVE = TypeAdapter(ExpectedCurve)


def curve_key(recipe: Recipe) -> str:
    """Hash of the settings of a recipe that its curve depends on, without the seeds."""
    return model_sha256(replace(recipe, seed=0, data=replace(recipe.data, split_seed=None)))


def expected_curve(recipe: Recipe) -> ExpectedCurve | None:
    """The curve of a recipe; None where no runs of it were measured."""
    return _curves().get(curve_key(recipe))


@cache
def _curves() -> dict[str, ExpectedCurve]:
    folder = files("convergan.report").joinpath("curves")
    curves = (
        parse_json_as(file.read_bytes(), _CURVE)
        for file in folder.iterdir()
        if file.name.endswith(".json")
    )
    return {curve.key: curve for curve in curves}
