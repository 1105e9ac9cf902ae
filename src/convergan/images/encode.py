"""Encoding of pixels as image files."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


def to_picture(pixels: np.ndarray) -> "Image":
    """A Pillow image of pixels, uint8 [height, width, channels].

    Args:
        pixels: 1 channel: grey; 2: grey and opacity; 3: RGB; 4: RGB and opacity.
    """
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_png(pixels: np.ndarray, *, compress: bool = True) -> bytes:
    """A PNG file of pixels, as in `to_picture`, and nothing else: no metadata.

    Args:
        pixels: uint8 [height, width, channels], 1 to 4 channels.
        compress: compress the pixels. The length of a compressed file tells how busy an image is, and so
            generated images from real ones. False stores pixels as they are: images of one shape make files
            of one length, of the same chunks in the same places.
    """
    file = BytesIO()
    to_picture(pixels).save(file, "PNG", compress_level=-1 if compress else 0)
    return file.getvalue()
