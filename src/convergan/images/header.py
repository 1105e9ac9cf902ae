"""Headers of image files: an image's properties before a pixel is decoded."""

import warnings
from typing import NamedTuple

from convergan.images.decode import FORMATS, Encoded, Unreadable, opened

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_ORIENTATION = 0x0112


class Header(NamedTuple):
    """Format and size of an image file."""

    format: str
    """Pillow's name of the format, such as `PNG`."""

    height: int
    """Height in pixels of the upright image, as decoded; the same goes for the width."""

    width: int


def read_header(encoded: Encoded) -> Header | None:
    """Read the header of an image file; None if it cannot be read, which decoding reports."""
    from PIL import Image

    if isinstance(encoded, Unreadable):
        return None
    try:
        with opened(encoded) as file, warnings.catch_warnings():
            # Such as about a decompression bomb.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                turned = image.getexif().get(_ORIENTATION) in _TURNED
                width, height = image.size[::-1] if turned else image.size
                return Header(str(image.format), height, width)
    except Exception:  # Pillow raises anything on a broken file
        return None


# The luminance table of the JPEG standard (annex K) adds up to this.
_STANDARD_SUM = 3689


def jpeg_quality(encoded: Encoded) -> int | None:
    """The quality, 1 to 100, of a JPEG file, by its quantization table; None for other files.

    The scale is that of libjpeg, as in most programs. A table that is not standard gets the quality of the
    standard table that quantizes as strongly. Below 20, where tables are clipped, it is a little too high.
    """
    from PIL import Image

    if isinstance(encoded, Unreadable):
        return None
    try:
        with opened(encoded) as file, Image.open(file, formats=("JPEG",)) as image:
            scale = 100 * sum(image.quantization[0]) / _STANDARD_SUM  # type: ignore[attr-defined]
    except Exception:  # Pillow raises anything on a broken file, or one of another format
        return None
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
    return min(100, max(1, round(quality)))
