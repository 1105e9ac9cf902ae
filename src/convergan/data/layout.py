"""What the folders in a folder of images are: classes, or sets of images with classes in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from convergan.data.folder_names import UNLABELLED_FOLDERS, meaning
from convergan.data.undecoded import Label


class Entry(NamedTuple):
    """What is known of an image before it is decoded."""

    name: str
    """Relative to the folder."""

    label: Label
    is_test: bool


@dataclass(frozen=True)
class Layout:
    """Which folders hold classes, test images and images without labels."""

    train: str | None
    """The folder of the classes' folders, as it is written; None where these stand in `path` itself."""

    test: str | None
    """The folder of the test images' classes; None where there is none."""

    unused: tuple[str, ...]
    """Folders of test images beside `test`."""

    notes: tuple[str, ...]

    def entries(self, names: Iterable[str]) -> list[Entry]:
        """What is known of each of the images that are used."""
        return [
            Entry(name, self.label(name), self.is_test(name))
            for name in names
            if self.is_used(name)
        ]

    def is_used(self, name: str) -> bool:
        """Whether an image, named relative to the folder, is part of the data set."""
        return name.split("/", 1)[0] not in self.unused or "/" not in name

    def is_test(self, name: str) -> bool:
        """Whether it is a test image."""
        return self.test is not None and name.startswith(f"{self.test}/")

    def label(self, name: str) -> str | None:
        """The class whose folder it is in; None in no class's folder."""
        folders = name.split("/")[:-1]
        if folders and folders[0] in (self.train, self.test):
            folders = folders[1:]
        if not folders or meaning(folders[0]) in UNLABELLED_FOLDERS:
            return None
        return folders[0]


def meanings_of(folders: Iterable[str]) -> dict[str, str | None]:
    """Which known name (`train`, `val`, ...) each of the folders has; None for those of classes.

    A folder `valid` beside `invalid` is a class.
    """
    found = {name: meaning(name) for name in folders}
    if any(name.casefold().startswith(("invalid", "not valid")) for name in found):
        for name in found:
            if found[name] == "valid":
                found[name] = None
    return found


def count_images(number: int) -> str:
    """`1 image`, `2 images`."""
    return f"{number} image{'' if number == 1 else 's'}"
