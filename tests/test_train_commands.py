"""Tests of how the words after `convergan train` become a recipe."""

import pytest

from convergan.errors import UserError
from convergan.train_commands import parse_train


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mnist-fast", (3000, None)),
        ("mnist-fast --minutes 2", (None, 2.0)),
        ("mnist-fast --minutes=2", (None, 2.0)),
        ("mnist-fast --minutes None", (3000, None)),
        ("folder --data.path faces", (None, 5.0)),
        ("folder --data.path faces --steps 900", (900, None)),
        ("folder --data.path faces --steps None", (None, 5.0)),
    ],
)
def test_minutes_and_steps_replace_each_other(
    words: str, expected: tuple[int | None, float | None]
) -> None:
    recipe = parse_train(words.split(), "convergan train").recipe
    assert (recipe.steps, recipe.minutes) == expected


def test_minutes_beside_steps_are_refused() -> None:
    with pytest.raises(UserError, match=r"steps: expected none with minutes.*got 30"):
        parse_train(["mnist-fast", "--minutes", "2", "--steps", "30"], "convergan train")
