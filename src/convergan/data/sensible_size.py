"""Which size to train small networks on."""


def sensible_size_px(height: int, width: int) -> int:
    """A side in pixels that images of this size are best resized to: 32, 64 or 128.

    The networks are the paper's, for 28 to 128 px: more shows more, and costs with its square.
    """
    shorter = min(height, width)
    if shorter < 64:
        return 32
    return 64 if shorter < 256 else 128
