"""Headers of image files."""

import pytest
from PIL import Image

from convergan.images.decode import decode
from convergan.images.header import read_header


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_a_header_tells_format_and_size(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    Image.new("RGB", (7, 5)).save(file)
    names = {"jpg": "JPEG", "tif": "TIFF"}
    assert read_header(file) == (names.get(suffix, suffix.upper()), 5, 7)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (7, 5)).save(tmp_path / "x.jpg", exif=exif)
    header = read_header(tmp_path / "x.jpg")
    assert header is not None
    assert header[1:] == decode(tmp_path / "x.jpg").shape[:2]


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00"],
)
def test_broken_files_have_none(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    assert read_header(tmp_path / "x.png") is None
    assert read_header(content) is None


def test_files_that_are_not_there_have_none(tmp_path):
    assert read_header(tmp_path / "x.png") is None
    assert read_header(tmp_path) is None
