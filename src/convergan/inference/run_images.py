"""The images of a run's generator, to be looked at and not written."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from convergan.data.image_stream import Channels, ImageStream, Size
from convergan.data.names import RowNames
from convergan.images.decode import pixels
from convergan.images.encode import to_picture
from convergan.inference.sample import draw


def images_of_run(run: Path, count: int, seed: int) -> ImageStream:
    """The first `count` images that the generator of a run makes of a seed.

    Raises:
        UserError: `run` is no finished run.
    """
    # A run that is not finished is to be noticed before any other work.
    draw(run, 1)

    def decoded(channels: Channels | None, size: Size | None, some: slice) -> Iterator[np.ndarray]:
        images = chain.from_iterable(draw(run, count, seed=seed))
        for image in islice(images, some.start, some.stop, some.step):
            yield pixels(to_picture(image), channels=channels, size=size)

    return ImageStream(str(run), RowNames([("sample", count)]), decoded)
