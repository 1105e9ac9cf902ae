"""The size advised for images that are too large, or of several sizes."""

_SIZES_PX = (32, 64, 128)
"""Sizes that all networks accept; the range covers the data sets of the paper."""


def sensible_size_px(height: int, width: int) -> int:
    """The size in pixels to advise for images of at least this height and width.

    The largest of 32, 64 and 128 that the shorter side has; 32 for smaller images.
    """
    shorter = min(height, width)
    return max((size for size in _SIZES_PX if size <= shorter), default=_SIZES_PX[0])
