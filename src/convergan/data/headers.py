"""Sizes of images, from the headers of their files."""

import warnings
from itertools import islice

from convergan.data.undecoded import Source
from convergan.images.decode import Encoded, Unreadable, opened

_MOST_LOOKED_AT = 16

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_ORIENTATION = 0x0112


def first_size(source: Source) -> tuple[int, int] | None:
    """Height and width of the first readable training image among the first few; None where none can be read.

    No pixel is decoded. What is wrong with a file is told when it is decoded.
    """
    for encoded in islice(source.train.encoded(), _MOST_LOOKED_AT):
        size = _size(encoded)
        if size is not None:
            return size
    return None


def _size(encoded: Encoded) -> tuple[int, int] | None:
    from PIL import Image

    if isinstance(encoded, Unreadable):
        return None
    try:
        with opened(encoded) as file, warnings.catch_warnings():
            # Of a decompression bomb, say.
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                turned = image.getexif().get(_ORIENTATION) in _TURNED
                width, height = image.size[::-1] if turned else image.size
                return height, width
    except Exception:  # Pillow raises anything on a broken file
        return None
