import pytest

from convergan.data.image_sizes import sensible_size_px


@pytest.mark.parametrize(
    ("height", "width", "size_px"),
    [(8, 9, 32), (32, 40, 32), (66, 500, 64), (127, 128, 64), (128, 128, 128), (3000, 4000, 128)],
)
def test_the_size_fits_the_shorter_side(height, width, size_px):
    assert sensible_size_px(height, width) == sensible_size_px(width, height) == size_px
