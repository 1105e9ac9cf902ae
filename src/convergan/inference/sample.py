"""Images from a run's generator, as PNG files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from convergan.data.batches import to_uint8
from convergan.errors import UserError
from convergan.files import written_aside
from convergan.page.images import write_sample_grid
from convergan.runs.model import load_generator

_BATCH_SIZE = 256
_GRID_IMAGES = 100


def sample(
    run: Path,
    count: int,
    out: Path,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes `count` images as 000000.png, 000001.png, ..., and the first hundred as grid.png beside `out`.

    The same run, seed and device give the same images, whatever the count.

    Args:
        run: the folder of a finished run.
        count: images to draw, 1 or more.
        out: the folder they go to; new or empty.
        seed: of the noise that they are made from.
        progress: called with the number of images done and of all.

    Returns:
        The grid's path, `<out>-grid.png`: outside the folder, so that it holds samples alone.

    Raises:
        UserError: `run` is no finished run, `count` is below 1, or `out` holds something.
    """
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: expected a new or empty folder, got something in it")
    generator, _ = load_generator(run)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = generator.to(device)
    # On the CPU whatever the device: its stream is the same everywhere.
    noise = torch.Generator().manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    shown = []
    for first in range(0, count, _BATCH_SIZE):
        # Whole batches, so that the noise does not depend on the count.
        latent = generator.latent(_BATCH_SIZE, "cpu", noise).to(device)
        with torch.no_grad():
            images = (
                to_uint8(generator(latent), generator.pixel_range)[: count - first].cpu().numpy()
            )
        for number, image in enumerate(images, start=first):
            pixels = image[:, :, 0] if image.shape[2] == 1 else image
            with written_aside(out / f"{number:06d}.png") as aside:
                Image.fromarray(pixels).save(aside)
        if first < _GRID_IMAGES:
            shown.append(images)
        if progress is not None:
            progress(min(first + _BATCH_SIZE, count), count)
    grid = out.parent / f"{out.name}-grid.png"
    write_sample_grid(grid, np.concatenate(shown)[:_GRID_IMAGES])
    return grid
