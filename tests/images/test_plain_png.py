"""Piles of PNG files are decoded to what Pillow makes of each."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from convergan.images.decode import Unreadable, decode, decode_in_order
from convergan.images.plain_png import piles


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(image: Image.Image, **options) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def file_of_lines(lines: bytes, width: int, height: int, colour: int = 0) -> bytes:
    head = struct.pack(">II5B", width, height, 8, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def random_lines(filters: list[int], width: int, channels: int, seed: int) -> bytes:
    """One line for each way to store it, the differences random."""
    differences = pixels(len(filters), width * channels, seed=seed)
    lines = zip(filters, differences, strict=True)
    return b"".join(bytes([kind]) + line.tobytes() for kind, line in lines)


def colours() -> list[bytes]:
    """Plain files: grey and colour, of two sizes, and colour that is grey."""
    grey = [Image.fromarray(pixels(6, 5, seed=seed)) for seed in range(3)]
    colour = [Image.fromarray(pixels(6, 5, 3, seed=seed)) for seed in range(3)]
    other_size = [Image.fromarray(pixels(5, 6, seed=seed)) for seed in range(2)]
    images = [grey[0], colour[0], other_size[0], grey[1], grey[2].convert("RGB"), colour[1]]
    return [png(image) for image in [*images, colour[2], other_size[1]]]


def not_plain() -> dict[str, bytes]:
    grey = Image.fromarray(pixels(6, 5))
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "x")
    exif = Image.Exif()
    exif[0x0112] = 6
    good = png(grey)
    return {
        "palette": png(Image.fromarray(pixels(6, 5, 3)).quantize(7)),
        "alpha": png(Image.fromarray(pixels(6, 5, 4))),
        "a transparent grey": png(grey, transparency=int(pixels(6, 5)[0, 0])),
        "16 bits": png(Image.fromarray(pixels(6, 5).astype(np.uint16) * 257)),
        "1 bit": png(grey.convert("1")),
        "text": png(grey, pnginfo=text),
        "to be turned": png(grey, exif=exif),
        "large": png(Image.fromarray(pixels(200, 200))),
        "JPEG": b"\xff\xd8\xff" + bytes(100),
        "empty": b"",
        "only a signature": good[:8],
        "only a head": good[:33],
        "truncated": good[:-20],
        "without its end": good[:-12],
        "wrong checksum of the head": good[:29] + b"\0\0\0\0" + good[33:],
        "broken lines": good[:50] + b"\0\0\0\0" + good[54:],
        "a line too few": file_of_lines(random_lines([0] * 5, 5, 1, seed=0), 5, 6),
        "a line too many": file_of_lines(random_lines([0] * 7, 5, 1, seed=0), 5, 6),
    }


def assert_decoded_alike(files: list[bytes], **options) -> None:
    for file, result in zip(files, decode_in_order(iter(files), **options), strict=True):
        try:
            expected = decode(file, **options)
        except Unreadable as unreadable:
            assert isinstance(result, Unreadable) and str(result) == str(unreadable)
        else:
            assert result.dtype == np.uint8 and np.array_equal(result, expected)


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("size", [None, (6, 5), (4, 4)])
def test_files_of_all_kinds_decode_as_each_by_itself(channels, size):
    files = [*colours(), *not_plain().values(), *colours()]
    assert_decoded_alike(files, channels=channels, size=size)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
def test_lines_are_restored_however_they_are_stored(colour, channels):
    # Each way to store a line comes first, where the line above is of zeros, and after each other.
    generator = np.random.default_rng(0)
    files = [
        file_of_lines(
            random_lines([first % 5, *generator.integers(0, 5, 30)], 4, channels, seed=first),
            width=4,
            height=31,
            colour=colour,
        )
        for first in range(10)
    ]
    (pile,) = piles(files)
    assert pile.positions == list(range(10))
    assert_decoded_alike(files, channels=channels)


def test_a_broken_line_spoils_its_own_image_alone():
    lines = [random_lines([0, kind, 2, 1], 3, 1, seed=kind) for kind in (0, 4, 5, 2)]
    files = [file_of_lines(content, width=3, height=4) for content in lines]
    assert len(piles(files)) == 1
    results = list(decode_in_order(files))
    assert [isinstance(result, Unreadable) for result in results] == [False, False, True, False]
    assert_decoded_alike(files)


def test_plain_files_of_one_kind_lie_on_one_pile():
    assert [pile.positions for pile in piles(colours())] == [[0, 3], [1, 4, 5, 6], [2, 7]]


@pytest.mark.parametrize("kind", not_plain())
def test_other_files_lie_on_none(kind):
    assert piles([not_plain()[kind], Path("absent.png")]) == []


def test_files_are_read_from_disk(tmp_path):
    contents = [*colours(), not_plain()["truncated"], not_plain()["large"]]
    paths = [tmp_path / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    results = decode_in_order([*paths[:2], *map(str, paths[2:])])
    for result, expected in zip(results, decode_in_order(contents), strict=True):
        assert isinstance(result, Unreadable) or np.array_equal(result, expected)
