"""Sizes of images, from the headers of their files."""

from itertools import islice

from convergan.data.undecoded import Source
from convergan.images.header import read_header

_MOST_LOOKED_AT = 16


def first_size(source: Source) -> tuple[int, int] | None:
    """Height and width of the first readable training image among the first few; None where none can be read.

    No pixel is decoded. Errors of a file are reported when it is decoded.
    """
    headers = map(read_header, islice(source.train.encoded(), _MOST_LOOKED_AT))
    return next(((header.height, header.width) for header in headers if header), None)
