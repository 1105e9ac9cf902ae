"""Images from a run's generator, as PNG files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

from convergan.errors import UserError
from convergan.files import aside_folder, sync_folder
from convergan.images.encode import to_png
from convergan.networks.batches import device_of_process
from convergan.networks.interface import Generator
from convergan.networks.pixels import to_uint8
from convergan.networks.precision import without_tf32
from convergan.outputs import require_empty_folder, require_output
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
    places: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes `count` images as 000000.png, 000001.png, ..., and the first hundred as grid.png beside `out`.

    The same run, seed and device give the same images, whatever the count.

    Args:
        run: the folder of a finished run.
        count: images to draw, 1 or more.
        out: the folder they go to; new or empty.
        seed: of the noise that they are made from.
        places: which of all that the seed gives, in the order in which they are to be written; `count` of
            them. None: the first.
        overwrite: replace a grid that is there; `out` must be new or empty all the same.
        progress: called with the number of images done and of all.

    Returns:
        The grid's path, `<out>-grid.png`: outside the folder, so that it holds samples alone.

    Raises:
        UserError: `run` is no finished run, `count` is below 1, `out` holds something, or the grid exists.
    """
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    grid = require_room(out, overwrite=overwrite)
    wanted = range(count) if places is None else places
    number_of = {place: number for number, place in enumerate(wanted)}
    drawn = draw(run, max(wanted) + 1, seed=seed)
    shown: dict[int, np.ndarray] = {}
    done = 0
    with _filled_at_once(out) as folder:
        for place, image in enumerate(image for batch in drawn for image in batch):
            number = number_of.get(place)
            if number is None:
                continue
            (folder / f"{number:06d}.png").write_bytes(to_png(image))
            if number < _GRID_IMAGES:
                shown[number] = image
            done += 1
            if progress is not None:
                progress(done, count)
        # Before the images move to their place: where it fails, the next try finds none in its way.
        write_sample_grid(grid, np.stack([shown[number] for number in sorted(shown)]))
    return grid


def require_room(out: Path, *, overwrite: bool = False) -> Path:
    """Checks that images can go to the folder `out`, and their grid beside it; gives the grid's path.

    Raises:
        UserError: `out` is a file, or holds something; or the grid exists and `overwrite` is off.
    """
    require_empty_folder(out, name="out")
    grid = out.parent / f"{out.name}-grid.png"
    # Folders that are to be made are new, and so is what will be beside them.
    if out.parent.is_dir():
        require_output(grid, name="out", overwrite=overwrite)
    return grid


@contextmanager
def _filled_at_once(out: Path) -> Iterator[Path]:
    """Yields a folder whose files move to `out` when the block ends; if it raises, none does.

    A half-filled `out` would be refused at the next try. It may be the place of a mounted volume, which
    cannot be renamed: so the files are.
    """
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with aside_folder(out) as folder:
            files = folder / "files"
            files.mkdir()
            yield files
            for file in files.iterdir():
                file.rename(out / file.name)
            sync_folder(out)
    except BaseException:
        if made:
            with suppress(OSError):
                out.rmdir()
        raise


def draw(run: Path, count: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Images from a run's generator: uint8 [batch, height, width, channels], `count` of them in all.

    The same run, seed and device give the same images, whatever the count.

    Raises:
        UserError: `run` is no finished run; raised at once.
    """
    generator, _ = load_generator(run)
    device = device_of_process()
    return _draw(generator.to(device), count, device, seed)


def _draw(
    generator: Generator, count: int, device: torch.device, seed: int
) -> Iterator[np.ndarray]:
    # On the CPU whatever the device: its stream is the same everywhere.
    noise = torch.Generator().manual_seed(seed)
    for first in range(0, count, _BATCH_SIZE):
        # Whole batches, so that the noise does not depend on the count.
        latent = generator.latent(_BATCH_SIZE, "cpu", noise).to(device)
        with torch.no_grad(), without_tf32():
            images = to_uint8(generator(latent), generator.pixel_range)[: count - first]
        yield images.cpu().numpy()
