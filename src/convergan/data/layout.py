"""The roles of folders of images: classes, or sets of images that are divided into classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from convergan.data.encoded_source import Label
from convergan.data.folder_names import UNLABELLED_FOLDERS, meaning


class ImageEntry(NamedTuple):
    """An image before it is decoded: its name, its label and its part."""

    name: str
    """Path of the image, relative to the folder of all images."""

    label: Label
    is_test: bool


@dataclass(frozen=True)
class Layout:
    """The folders that hold classes, test images and images without labels."""

    train: str | None
    """The folder of the classes' folders, as it is written; None where these stand in `path` itself."""

    test: str | None
    """The folder of the test images' classes; None where there is none."""

    unused: tuple[str, ...]
    """Further folders of test images, which are not used."""

    notes: tuple[str, ...]

    def entries(self, names: Iterable[str]) -> list[ImageEntry]:
        """The entries of the images that are used, from the names of all images."""
        return [
            ImageEntry(name, self.label(name), self.is_test(name))
            for name in names
            if self.is_used(name)
        ]

    def is_used(self, name: str) -> bool:
        """True if an image, named relative to the folder, is part of the data set."""
        return name.split("/", 1)[0] not in self.unused or "/" not in name

    def is_test(self, name: str) -> bool:
        """True for the name of a test image."""
        return self.test is not None and name.startswith(f"{self.test}/")

    def label(self, name: str) -> str | None:
        """The class whose folder an image is in; None for an image in no class's folder."""
        folders = name.split("/")[:-1]
        if folders and folders[0] in (self.train, self.test):
            folders = folders[1:]
        if not folders or meaning(folders[0]) in UNLABELLED_FOLDERS:
            return None
        return folders[0]


def meanings_of(folders: Iterable[str]) -> dict[str, str | None]:
    """The known name (`train`, `val`, ...) that each folder has; None for folders of classes.

    A folder `valid` beside `invalid` is a class.
    """
    meanings = {name: meaning(name) for name in folders}
    if any(name.casefold().startswith(("invalid", "not valid")) for name in meanings):
        for name in meanings:
            if meanings[name] == "valid":
                meanings[name] = None
    return meanings


def count_images(number: int) -> str:
    """A number of images in words: `1 image`, `2 images`."""
    return f"{number} image{'' if number == 1 else 's'}"
