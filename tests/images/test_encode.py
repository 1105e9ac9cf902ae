"""Encoding of pixels as image files."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convergan.images.encode import to_png

SIZES = [(1, 1), (8, 8), (5, 9), (64, 64), (37, 211), (300, 300)]


def pictures(height, width, channels):
    """Pixels of one shape that compress as differently as pixels can."""
    generator = np.random.default_rng(height)
    shape = (height, width, channels)
    noise = generator.integers(0, 256, (8, *shape), dtype=np.uint8)
    extremes = generator.integers(0, 2, (4, *shape), dtype=np.uint8) * 255
    ramp = np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None], shape)
    return [*noise, *extremes, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), ramp]


def layout(file):
    """A PNG file's signature and chunks: place, name, length, and content but for the lines."""
    chunks, place = [], 8
    while place < len(file):
        length, name = struct.unpack_from(">I4s", file, place)
        content = file[place + 8 : place + 8 + length]
        assert file[place + 8 + length :][:4] == zlib.crc32(name + content).to_bytes(4, "big")
        # The lines begin with zlib's own header, which tells how they were compressed.
        excerpt = content[:2] if name == b"IDAT" and not chunks[1:] else content
        chunks.append((place, name, length, None if name == b"IDAT" and chunks[1:] else excerpt))
        place += 12 + length
    return file[:8], chunks


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_uncompressed_files_tell_nothing_but_their_pixels(height, width, channels):
    files = [to_png(pixels, compress=False) for pixels in pictures(height, width, channels)]
    assert len(set(map(len, files))) == 1
    layouts = [layout(file) for file in files]
    assert all(structure == layouts[0] for structure in layouts)
    assert [name for _, name, _, _ in layouts[0][1]][:1] == [b"IHDR"]
    assert {name for _, name, _, _ in layouts[0][1]} == {b"IHDR", b"IDAT", b"IEND"}


def test_compressed_files_would_tell():
    noise, *_, flat, _, _ = pictures(64, 64, 3)
    assert len(to_png(flat)) < len(to_png(noise)) / 10


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_pixel_comes_back(height, width, channels, compress):
    for pixels in pictures(height, width, channels)[::5]:
        file = BytesIO(to_png(pixels, compress=compress))
        with Image.open(file) as image:
            image.verify()
        with Image.open(file) as image:
            assert image.format == "PNG" and image.info == {}
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
