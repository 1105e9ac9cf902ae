"""Images of a run's generator, drawn on demand."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch

from convergan.data.image_stream import Channels, ImageStream, Size, turned
from convergan.data.names import RowNames
from convergan.networks.batches import device_of_process
from convergan.networks.interface import Generator
from convergan.networks.pixels import to_uint8
from convergan.networks.precision import without_tf32
from convergan.runs.model import load_generator

_BATCH_SIZE = 256


def images_of_run(run: Path, count: int, seed: int) -> ImageStream:
    """Stream of the first `count` images that the generator of a run draws with a seed.

    Raises:
        UserError: `run` is not a finished run.
    """
    # An unfinished run is reported before any other work.
    draw(run, 1)

    def decoded(channels: Channels | None, size: Size | None, rows: slice) -> Iterator[np.ndarray]:
        images = chain.from_iterable(draw(run, count, seed=seed))
        return turned(islice(images, rows.start, rows.stop, rows.step), channels, size)

    return ImageStream(str(run), RowNames([("sample", count)]), decoded)


def draw(run: Path, count: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Draw `count` images from a run's generator: uint8 [batch, height, width, channels].

    The same run, seed and device give the same images, whatever the count.

    Raises:
        UserError: `run` is not a finished run; raised at once.
    """
    generator = load_generator(run)
    device = device_of_process()
    return _draw(generator.to(device), count, device, seed)


def _draw(
    generator: Generator, count: int, device: torch.device, seed: int
) -> Iterator[np.ndarray]:
    # The noise is drawn on the CPU on every device: its stream is the same everywhere.
    noise = torch.Generator().manual_seed(seed)
    # Whole batches, so that neither the noise nor batch statistics depend on the count.
    size = generator.sample_batch or _BATCH_SIZE
    for first in range(0, count, size):
        latent = generator.latent(size, "cpu", noise).to(device)
        with torch.no_grad(), without_tf32():
            images = to_uint8(generator(latent), generator.pixel_range)[: count - first]
        yield images.cpu().numpy()
