"""The image files of a study: which are used, and to what size they come."""

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
    """The set's name."""
    folder: Path
    path: str
    practice: bool
    """It is practised on, and in no trial."""

    @property
    def name(self) -> str:
        """Its path within the set's folder."""
        return Path(self.path).relative_to(self.folder).as_posix()

    @cached_property
    def header(self) -> Header | None:
        """Format and size; None where they cannot be read."""
        return read_header(self.path)


def choose_files(plan: Plan, folders: Mapping[str, Path]) -> list[ImageFile]:
    """Of each set as many images as the plan uses, those to practise on among them, all in random order.

    Raises:
        UserError: a folder that is absent or has too few images.
    """
    chosen = []
    for name, folder in folders.items():
        paths = find_image_files(folder)
        needed = plan.control_images if name == CONTROL else plan.images_needed
        if len(paths) < needed:
            raise UserError(
                f"{folder}: expected at least {needed} images, so that nobody sees one"
                f" twice, got {len(paths)}"
            )
        count = min(len(paths), max(plan.images, needed))
        drawn = Random(f"{plan.seed}/{name}").sample(paths, count)
        chosen += [
            ImageFile(
                name, folder, path, practice=name != CONTROL and number < plan.practice_images
            )
            for number, path in enumerate(drawn)
        ]
    # Neighbours in the database are read sooner: they must not be of one set.
    Random(plan.seed).shuffle(chosen)
    return chosen


def common_size_px(files: Iterable[ImageFile]) -> int:
    """The smaller side of the smallest image; at least 8 and at most 256."""
    sides = [min(file.header.height, file.header.width) for file in files if file.header]
    return max(_SMALLEST_PX, min(_LARGEST_PX, *sides))
