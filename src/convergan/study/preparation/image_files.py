"""Image files of a study: their selection, and the size that they are resized to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from convergan.errors import UserError
from convergan.images.header import Header, read_header
from convergan.images.read_images import find_image_files
from convergan.study.design.plan import CONTROL, Plan

_SMALLEST_PX, _LARGEST_PX = 8, 256


@dataclass(frozen=True)
class ImageFile:
    """One image of a set."""

    images: str
    """Name of the set."""
    folder: Path
    path: str
    practice: bool
    """True for images that are used for practice only."""

    @property
    def name(self) -> str:
        """Path within the folder of the set."""
        return Path(self.path).relative_to(self.folder).as_posix()

    @cached_property
    def header(self) -> Header | None:
        """Format and size; None where they cannot be read."""
        return read_header(self.path)


def choose_files(plan: Plan, folders: Mapping[str, Path]) -> list[ImageFile]:
    """Choose as many images of each set as the plan uses, including those for practice, in random order.

    Raises:
        UserError: a folder is missing or has too few images.
    """
    files = []
    for name, folder in folders.items():
        paths = find_image_files(folder)
        fewest = plan.control_images if name == CONTROL else plan.images_needed
        if len(paths) < fewest:
            raise UserError(
                f"{folder}: expected at least {fewest} images, so that nobody sees one"
                f" twice, got {len(paths)}"
            )
        count = min(len(paths), max(plan.images, fewest))
        sample = Random(f"{plan.seed}/{name}").sample(paths, count)
        files += [
            ImageFile(
                name, folder, path, practice=name != CONTROL and number < plan.practice_images
            )
            for number, path in enumerate(sample)
        ]
    # Neighbours in the database are read faster: they must not be of one set.
    Random(plan.seed).shuffle(files)
    return files


def common_size_px(files: Iterable[ImageFile]) -> int:
    """Return the shorter side of the smallest image, in pixels; at least 8 and at most 256."""
    sides = [min(file.header.height, file.header.width) for file in files if file.header]
    return max(_SMALLEST_PX, min(_LARGEST_PX, *sides))
