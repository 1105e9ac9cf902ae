"""`convergan sample`: images from a run's generator, as PNG files."""

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
"""How many images."""

_GRID_IMAGES = 100


def sample_to_folder(
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
    count = require_number(count, Count, "count")
    require_room(out, overwrite=overwrite)
    wanted = range(count) if places is None else places
    chosen = chosen_samples(draw(run, max(wanted) + 1, seed=seed), wanted)
    return write_samples(out, chosen, count, overwrite=overwrite, progress=progress)


def write_samples(
    out: Path,
    numbered: Iterable[tuple[int, np.ndarray]],
    count: int,
    *,
    overwrite: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes numbered images, and the first hundred as a grid beside the folder; gives the grid's path.

    Raises:
        UserError: as `require_room`.
    """
    grid = require_room(out, overwrite=overwrite)
    shown: dict[int, np.ndarray] = {}
    with _filled_at_once(out) as folder:
        for done, (number, image) in enumerate(numbered, 1):
            (folder / f"{number:06d}.png").write_bytes(to_png(image))
            if number < _GRID_IMAGES:
                shown[number] = image
            if progress is not None:
                progress(done, count)
        # Before the images move to their place: where it fails, the next try finds none in its way.
        write_sample_grid(grid, np.stack([shown[number] for number in sorted(shown)]))
    return grid


def chosen_samples(
    drawn: Iterable[np.ndarray], wanted: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Those images whose places are wanted, in the order in which they come, each with its number there."""
    number_of = {place: number for number, place in enumerate(wanted)}
    for place, image in enumerate(chain.from_iterable(drawn)):
        if place in number_of:
            yield number_of[place], image


def require_number(value: _Number, declared: Any, name: str) -> _Number:
    """An argument of a declared type and range; of NumPy's numbers, Python's.

    Raises:
        UserError: it is another.
    """
    try:
        number: _Number = fit(value, declared)
    except ValueError as problem:
        raise UserError(f"{name}: expected {problem}, got {quoted(value)}") from None
    return number


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
