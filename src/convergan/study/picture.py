"""From pixels to the file that a browser gets: the same for real and for generated images."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2


def to_png(pixels: np.ndarray) -> bytes:
    """A PNG file of the pixels and nothing else: no metadata, no compression.

    Compressed files are the longer the busier the image, which tells generated images from real ones. These
    store every pixel as it is, so that all images of one size make files of one length, headers alike.

    Args:
        pixels: uint8 [height, width, channels], 1 or 3 channels.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _GREY if channels == 1 else _RGB, 0, 0, 0)
    lines = np.zeros(
        (height, 1 + width * channels), dtype=np.uint8
    )  # each begins with its filter: 0
    lines[:, 1:] = pixels.reshape(height, -1)
    stored = zlib.compress(lines.tobytes(), level=0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stored) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
