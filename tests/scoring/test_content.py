"""The checksum of images depends on their pixels alone."""

import numpy as np

from convergan.data.image_stream import ImageStream, stream_of_array
from convergan.scoring.embedding import with_sha256


def sha256(images: np.ndarray, channels: int = 3) -> str:
    stream, checksum = with_sha256(stream_of_array("a", images))
    assert len(list(stream.decoded(channels, None, slice(None)))) == len(images)  # type: ignore[arg-type]
    return checksum()


def test_it_is_of_the_pixels_in_any_order(digits: np.ndarray) -> None:
    own = sha256(digits)
    assert own == sha256(digits[::-1])
    assert own == sha256(digits.repeat(3, axis=3))
    assert own != sha256(digits[:-1])
    assert own != sha256(np.concatenate([digits[:-1], digits[:1]]))
    changed = digits.copy()
    changed[5, 3, 3] ^= 1
    assert own != sha256(changed)
    # The same bytes, as images of another shape.
    assert own != sha256(digits.reshape(120, 4, 16, 1))


def test_what_cannot_be_read_does_not_count(digits: np.ndarray) -> None:
    from convergan.images.decode import Unreadable

    images = stream_of_array("a", digits)
    broken = ImageStream(
        "b", images.names, lambda *arguments: iter([Unreadable(), *images.decoded(*arguments)])
    )
    stream, checksum = with_sha256(broken)
    assert len(list(stream.decoded(3, None, slice(None)))) == 121
    assert checksum() == sha256(digits)
