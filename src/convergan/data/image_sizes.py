"""Sizes of images: those in the headers of files, and the one advised for a network."""

from itertools import islice

from convergan.data.encoded_source import Source
from convergan.images.header import read_header

_MOST_LOOKED_AT = 16

_SIZES_PX = (32, 64, 128)
"""Sizes that all networks accept; the range covers the data sets of the paper."""


def first_size(source: Source) -> tuple[int, int] | None:
    """Height and width of the first readable training image among the first few; None where none can be read.

    No pixel is decoded. Errors of a file are reported when it is decoded.
    """
    headers = map(read_header, islice(source.train.encoded(), _MOST_LOOKED_AT))
    return next(((header.height, header.width) for header in headers if header), None)


def sensible_size_px(height: int, width: int) -> int:
    """The size in pixels to advise for images of at least this height and width.

    The largest of 32, 64 and 128 that the shorter side has; 32 for smaller images.
    """
    shorter = min(height, width)
    return max((size for size in _SIZES_PX if size <= shorter), default=_SIZES_PX[0])
