"""The command `convergan sample`: images from a run's generator, as PNG files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from annotated_types import Interval

from convergan.errors import UserError, quoted
from convergan.files import aside_folder, sync_folder
from convergan.images.encode import to_png
from convergan.outputs import require_empty_folder, require_output
from convergan.page.images import write_sample_grid
from convergan.ranges import fit
from convergan.scoring.run_images import draw

_Number = TypeVar("_Number", int, float)

Count = Annotated[int, Interval(ge=1)]
"""Number of images, 1 or more."""

_GRID_IMAGES = 100


def sample_to_folder(
    run: Path,
    count: int,
    out: Path,
    *,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `count` images as 000000.png, 000001.png, ..., and the first hundred as grid.png beside `out`.

    The same run, seed and device give the same images, whatever the count.

    Args:
        run: the folder of a finished run.
        count: number of images to draw, 1 or more.
        out: a new or empty folder for them.
        seed: seed of their noise.
        indices: indices of the `count` images to write among all images of the seed, in the order in which
            they are written. None: the first ones.
        overwrite: replace an existing grid; `out` must be new or empty all the same.
        progress: called with the number of images done and of all.

    Returns:
        The grid's path, `<out>-grid.png`: outside the folder, so that it holds samples alone.

    Raises:
        UserError: `run` is no finished run, `count` is below 1, `out` holds something, or the grid exists.
    """
    count = require_number(count, Count, "count")
    require_room(out, overwrite=overwrite)
    indices = range(count) if indices is None else indices
    numbered = chosen_samples(draw(run, max(indices) + 1, seed=seed), indices)
    return write_samples(out, numbered, count, overwrite=overwrite, progress=progress)


def write_samples(
    out: Path,
    numbered: Iterable[tuple[int, np.ndarray]],
    count: int,
    *,
    overwrite: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write numbered images, and the first hundred as a grid beside the folder; return the grid's path.

    Raises:
        UserError: as in `require_room`.
    """
    grid = require_room(out, overwrite=overwrite)
    grid_images: dict[int, np.ndarray] = {}
    with _filled_at_once(out) as folder:
        for done, (number, image) in enumerate(numbered, 1):
            (folder / f"{number:06d}.png").write_bytes(to_png(image))
            if number < _GRID_IMAGES:
                grid_images[number] = image
            if progress is not None:
                progress(done, count)
        # Before the images move to their place: where it fails, the next try finds none in its way.
        write_sample_grid(grid, np.stack([grid_images[number] for number in sorted(grid_images)]))
    return grid


def chosen_samples(
    batches: Iterable[np.ndarray], indices: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """The images at `indices`, in the order of the batches, each with its position in `indices`."""
    positions = {index: position for position, index in enumerate(indices)}
    for index, image in enumerate(chain.from_iterable(batches)):
        if index in positions:
            yield positions[index], image


def require_number(value: _Number, declared: Any, name: str) -> _Number:
    """Check that an argument has the declared type and range; convert NumPy's numbers to Python's.

    Raises:
        UserError: it does not.
    """
    try:
        number: _Number = fit(value, declared)
    except ValueError as problem:
        raise UserError(f"{name}: expected {problem}, got {quoted(value)}") from None
    return number


def require_room(out: Path, *, overwrite: bool = False) -> Path:
    """Check that images can go to the folder `out`, and their grid beside it; return the grid's path.

    Raises:
        UserError: `out` is a file, or holds something; or the grid exists and `overwrite` is off.
    """
    require_empty_folder(out, name="out")
    grid = out.parent / f"{out.name}-grid.png"
    # A folder that does not exist yet has nothing beside it either.
    if out.parent.is_dir():
        require_output(grid, name="out", overwrite=overwrite)
    return grid


@contextmanager
def _filled_at_once(out: Path) -> Iterator[Path]:
    """Yield a folder whose files move to `out` when the block ends, and are removed if it raises.

    A half-filled `out` would be refused at the next try. `out` may be the mount point of a volume, which
    cannot be renamed; the files are renamed instead.
    """
    is_new = not out.exists()
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
        if is_new:
            with suppress(OSError):
                out.rmdir()
        raise
