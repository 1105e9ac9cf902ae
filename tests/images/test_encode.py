"""The files that browsers get."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convergan.study.picture import to_png


@pytest.mark.parametrize("shape", [(8, 8, 3), (300, 300, 3), (5, 9, 3), (7, 4, 1)])
def test_every_pixel_comes_back(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(BytesIO(to_png(pixels))) as image:
        image.verify()
    with Image.open(BytesIO(to_png(pixels))) as image:
        assert image.format == "PNG" and image.info == {}
        assert np.array_equal(np.asarray(image).reshape(shape), pixels)


def test_the_length_tells_nothing_about_the_image():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(to_png(noise)) == len(to_png(np.zeros_like(noise)))
    assert len({to_png(noise)[:41], to_png(np.zeros_like(noise))[:41]}) == 1
