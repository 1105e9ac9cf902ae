"""A run's images are those that its generator draws, whichever part of them is asked for."""

from pathlib import Path

import numpy as np
import pytest

from convergan.scoring.run_images import draw, images_of_run


@pytest.mark.parametrize(
    "part",
    [slice(None), slice(5, 6), slice(2, 9), slice(3), slice(1, None, 2), slice(4, 11, 3)],
    ids=str,
)
def test_a_part_of_the_images(trained_run: Path, part: slice) -> None:
    images = np.concatenate(list(draw(trained_run, 12, seed=3)))
    result = list(images_of_run(trained_run, 12, seed=3).decoded(1, None, part))
    np.testing.assert_array_equal(result, images[part])
