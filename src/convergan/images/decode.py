"""Decoding of image files to pixels, for all of the package."""

import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from convergan.errors import one_line, system_problem
from convergan.images.plain_png import damaged_chunk, piles
from convergan.images.regular_files import open_regular
from convergan.images.threads import map_in_threads

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    {
        ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff",
        ".pbm", ".pgm", ".pnm", ".ppm",
    }
)  # fmt: skip
"""Suffixes of image files, in lower or upper case.

AVIF is left out, as not every build of Pillow decodes it, and TGA, as its files begin with no signature, so
that any broken file could be taken for one.
"""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Formats that are decoded, by Pillow's names."""

_SMALL_BYTES = 16 * 1024
"""Size in bytes below which a file takes longer to open than to decode."""


class Unreadable(Exception):
    """Error: an image file cannot be decoded; the message is the reason, without the file's name."""


Encoded = bytes | str | Path | Unreadable
"""An image file: its content, its path, or the reason why it must not be read."""


def decode(
    encoded: Encoded,
    *,
    channels: Literal[1, 3] | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decode an image file to pixels, uint8 [height, width, channels].

    The whole file is decoded, so that truncation is noticed. The first frame of an animation counts; a
    photograph is turned upright according to its EXIF orientation. See `pixels` for the rest.

    Raises:
        Unreadable: the file is absent, truncated, broken, or no image of a known format; or there is a pipe
            or a device in its place, which is not opened.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(encoded, Unreadable):
        raise encoded
    try:
        with opened(encoded) as file, Image.open(file, formats=FORMATS) as image:
            image.load()
            if "exif" in image.info or image.format == "TIFF":
                ImageOps.exif_transpose(image, in_place=True)
            if image.format == "PNG":
                _require_checksums(file)
    except Unreadable:
        raise
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image of a known format") from None
    except OSError as error:
        raise Unreadable(system_problem(error)) from error
    except Exception as error:  # Pillow's decoders raise much else on a broken file
        raise Unreadable(one_line(error)) from error
    return pixels(image, channels=channels, size=size)


def _require_checksums(png: BinaryIO) -> None:
    png.seek(0)
    chunk = damaged_chunk(png.read())
    if chunk is not None:
        raise Unreadable(f"a PNG file whose chunk {chunk!r} does not fit its checksum")


def pixels(
    image: "Image",
    *,
    channels: Literal[1, 3] | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Convert an opened image to pixels, uint8 [height, width, channels].

    16 bits are scaled to 8; transparent images get a white background; palettes and CMYK become RGB.

    Args:
        image: a Pillow image.
        channels: 1 for grey (colours become their luma), 3 for RGB. None: 1 if all pixels are grey, else 3.
        size: height and width in pixels to scale to; an image of another aspect ratio is cropped, the same on
            both sides. None: the image's own size.

    Raises:
        Unreadable: the pixels are floating-point or 32-bit numbers.
    """
    image = _eight_bits(image)
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != size[::-1]:
        from PIL import Image, ImageOps

        # Pillow widens the filter when it shrinks an image: no aliasing.
        image = ImageOps.fit(image, size[::-1], method=Image.Resampling.LANCZOS)
    array = np.asarray(image)
    if array.ndim == 2:
        return array[..., None]
    return array[..., :1] if channels is None and _is_grey(array) else array


def decode_in_order(
    files: Iterable[Encoded],
    *,
    channels: Literal[1, 3] | None = None,
    size: tuple[int, int] | None = None,
) -> Iterator[np.ndarray | Unreadable]:
    """Decode files as `decode` does, in threads where that is faster; yield a result for each, in order."""

    def attempt(chunk: list[Encoded]) -> list[np.ndarray | Unreadable]:
        return [_attempt(file, channels, size) for file in chunk]

    def attempt_plain(chunk: list[Encoded]) -> list[tuple[Encoded, np.ndarray | None]]:
        return list(zip(chunk, _decode_plain(chunk, channels, size), strict=True))

    remaining = iter(files)
    for first in remaining:
        queue = chain([first], remaining)
        if _size_bytes(first) < _SMALL_BYTES:
            # One thread: several would compete for the interpreter's lock.
            for decoded in map_in_threads(attempt_plain, _chunks(queue, 512), threads=1):
                for file, image in decoded:
                    yield _attempt(file, channels, size) if image is None else image
        else:
            # Eight at a time: photographs that are not scaled down take much memory once decoded.
            threads = min(16, os.cpu_count() or 1)
            for results in map_in_threads(attempt, _chunks(queue, 8), threads=threads):
                yield from results


def _decode_plain(
    files: list[Encoded], channels: Literal[1, 3] | None, size: tuple[int, int] | None
) -> list[np.ndarray | None]:
    """The images of small plain PNG files, which are decoded together; None for all else."""
    images: list[np.ndarray | None] = [None] * len(files)
    for pile in piles([_small_content(file) for file in files]):
        if size is not None and size != (pile.height, pile.width):
            continue
        try:
            tall = decode(pile.file(), channels=channels)
        except Unreadable:
            # One of the files is; decoding them one by one shows which.
            continue
        may_be_grey = channels is None and tall.shape[2] == 3
        unpiled = tall.reshape(-1, pile.height + 1, *tall.shape[1:])[:, 1:]
        for position, image in zip(pile.positions, unpiled, strict=True):
            images[position] = image[..., :1] if may_be_grey and _is_grey(image) else image
    return images


def _attempt(
    encoded: Encoded, channels: Literal[1, 3] | None, size: tuple[int, int] | None
) -> np.ndarray | Unreadable:
    try:
        return decode(encoded, channels=channels, size=size)
    except Unreadable as unreadable:
        return unreadable


def _chunks(files: Iterable[Encoded], length: int) -> Iterator[list[Encoded]]:
    remaining = iter(files)
    while chunk := list(islice(remaining, length)):
        yield chunk


def _size_bytes(encoded: Encoded) -> int:
    if isinstance(encoded, bytes):
        return len(encoded)
    if isinstance(encoded, Unreadable):
        return 0
    try:
        return os.stat(encoded).st_size
    except (OSError, ValueError):  # what cannot be opened is noticed when it is decoded
        return 0


def opened(encoded: bytes | str | Path) -> BinaryIO:
    """Open an image file for reading.

    Raises:
        OSError: it cannot be opened, or there is a pipe or a device in its place, which is not opened.
    """
    return (
        BytesIO(encoded) if isinstance(encoded, bytes) else os.fdopen(open_regular(encoded), "rb")
    )


def _small_content(encoded: Encoded) -> Encoded:
    """Content of a small file; a larger file stays as it is."""
    if not isinstance(encoded, (str, Path)):
        return encoded
    try:
        file = open_regular(encoded)
    except (OSError, ValueError):
        return encoded
    try:
        content = os.read(file, _SMALL_BYTES)
    except OSError:
        return encoded
    finally:
        os.close(file)
    return content if len(content) < _SMALL_BYTES else encoded


def _eight_bits(image: "Image") -> "Image":
    """The image in 8 bits, grey ("L") or RGB, opaque."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray(_sixteen_to_eight_bits(np.asarray(image)))
    if image.mode == "F":
        raise Unreadable("floating-point pixels, whose range is unknown")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _is_grey(array: np.ndarray) -> bool:
    # The first line reveals most colour images at once.
    return all((part[..., :1] == part[..., 1:]).all() for part in (array[0], array))


def _sixteen_to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale 0..65535, in any integers that Pillow uses, to 0..255, rounded."""
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise Unreadable(f"pixel values {wide.min()} to {wide.max()}, not of 8 or 16 bits")
    return ((wide * 255 + 32767) // 65535).astype(np.uint8)
