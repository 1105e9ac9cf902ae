"""The headers of image files: what is known of an image before a pixel is decoded."""

import warnings
from typing import NamedTuple

from convergan.images.decode import FORMATS, Encoded, Unreadable, opened

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_ORIENTATION = 0x0112


class Header(NamedTuple):
    """Format and size of an image file."""

    format: str
    """Pillow's name of it: `PNG`."""

    height: int
    """In pixels, upright, as `decode` gives the image; so is the width."""

    width: int


def read_header(encoded: Encoded) -> Header | None:
    """The header of an image file; None where it cannot be read, as decoding will tell."""
    from PIL import Image

    if isinstance(encoded, Unreadable):
        return None
    try:
        with opened(encoded) as file, warnings.catch_warnings():
            # Of a decompression bomb, say.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                turned = image.getexif().get(_ORIENTATION) in _TURNED
                width, height = image.size[::-1] if turned else image.size
                return Header(str(image.format), height, width)
    except Exception:  # Pillow raises anything on a broken file
        return None
