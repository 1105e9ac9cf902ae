"""Images read once, in order, without a store: from a folder, from parquet files or from an array."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from convergan.data.names import ChosenNames, RowNames
from convergan.data.parquet import find_parquet, parquet_images, split_of
from convergan.errors import UserError, one_line, reading
from convergan.images.decode import Unreadable, decode_in_order, pixels
from convergan.images.encode import to_picture
from convergan.images.read_images import find_image_files

Channels = Literal[1, 3]
Size = tuple[int, int]
Split = Literal["train", "test"]
PixelRange = tuple[float, float]

FIRST_ARRAY = "arr_0"
"""The name of an array that was saved without a name."""

_LEAST_OF_RANGE = 0.02
"""Share of the declared range below which there is a note: floats in [0, 1] declared as 0 to 255 use less."""

_SPLITS: tuple[Split, ...] = ("train", "test")

_EXPECTED = "an image, a folder of images, a .npy, .npz or .parquet file, or a run"
"""Images that `convergan score` takes."""


@dataclass(frozen=True)
class ImageStream:
    """Images that are decoded on demand."""

    place: str
    """The images' source, for messages."""

    names: Sequence[str]
    """Names of all images."""

    decoded: Callable[[Channels | None, Size | None, slice], Iterator[np.ndarray | Unreadable]]
    """Function that decodes the images of a slice in order, uint8 [height, width, channels], each scaled and
    cropped to a size if one is given; see `decode.decode`."""

    pixel_range: PixelRange | None = None
    """The declared values of black and white; None where there are no floats."""

    split: Split | None = None
    """Split of the parquet files, if these name their splits; None elsewhere."""

    seed: int | None = None
    """Seed with which a run's generator draws the images; None where they are in files."""

    notes: tuple[str, ...] = ()
    """Notes on what may be wrong with the images."""

    def __len__(self) -> int:
        return len(self.names)


def open_image_stream(
    path: Path,
    *,
    split: Split | None = None,
    pixel_range: PixelRange | None = None,
    key: str | None = None,
) -> ImageStream:
    """Open a folder of images, parquet files, a .npy or a .npz.

    Args:
        path: an image; a folder of images and of folders; a parquet file, or a folder of them; a .npy, or a
            .npz: uint8 or float, [n, height, width, channels] or [n, channels, height, width].
        split: split of parquet files that name theirs; has no effect elsewhere.
        pixel_range: the values of black and white in an array of floats; has no effect elsewhere.
        key: name of the array in a .npz that holds the images. None: the only one, or `arr_0`, the customary
            name for exchanged samples (`arr_1` being labels). Has no effect elsewhere.

    Raises:
        UserError: there is no such source, or it is ambiguous.
    """
    path = path.expanduser()
    if path.suffix in (".npy", ".npz") and path.is_file():
        return stream_of_array(str(path), _array(path, key), pixel_range)
    if path.suffix == ".parquet" and path.is_file():
        return _stream_of_parquet(path.parent, [path])
    if path.is_dir():
        files = find_parquet(path)
        present: list[Split] = [name for name in _SPLITS if files[name]]
        if present and split_of(files[present[0]][0].relative_to(path)) is None:
            return _stream_of_parquet(path, files["train"])
        if present:
            if split is None and len(present) > 1:
                raise UserError(f"{path}: expected --split train or test, as it has both, got none")
            if split is not None and split not in present:
                raise UserError(f"{path}: expected parquet files of {split}, got none")
            used_split = split or present[0]
            return replace(_stream_of_parquet(path, files[used_split]), split=used_split)
    image_files = find_image_files(path, _EXPECTED)
    return ImageStream(
        str(path),
        image_files,
        lambda channels, size, part: decode_in_order(
            image_files[part], channels=channels, size=size
        ),
    )


def stream_of_array(
    place: str, images: np.ndarray, pixel_range: PixelRange | None = None
) -> ImageStream:
    """The images of an array; see `open_image_stream`.

    Raises:
        UserError: it is no array of images, or its range of values is unclear.
    """
    original, images = images, channels_last(place, images)
    notes = _notes_of_shape(original)
    if images.dtype == np.uint8:
        pixel_range = None
    else:
        notes += _require_range(place, images, pixel_range)
    names = RowNames([("row", len(images))])

    def in_eight_bits(image: np.ndarray) -> np.ndarray:
        if pixel_range is None:
            return image
        low, high = pixel_range
        eight_bits: np.ndarray = np.rint((image - low) * (255 / (high - low))).astype(np.uint8)
        return eight_bits

    def decoded(channels: Channels | None, size: Size | None, part: slice) -> Iterator[np.ndarray]:
        return turned(map(in_eight_bits, images[part]), channels, size)

    return ImageStream(place, names, decoded, pixel_range, notes=notes)


def first_images(stream: ImageStream, count: int) -> ImageStream:
    """The first images of a stream, with a note if they are from some of its folders alone."""
    names = ChosenNames(stream.names, np.arange(count))

    def decoded(
        channels: Channels | None, size: Size | None, part: slice
    ) -> Iterator[np.ndarray | Unreadable]:
        return stream.decoded(channels, size, slice(*part.indices(count)))

    folders, all_folders = (
        len({os.path.dirname(name) for name in image_names})
        for image_names in (names, stream.names)
    )
    notes = stream.notes
    if folders < all_folders:
        notes += (
            f"the first {count:,} of {len(stream):,} images are from {folders:,} of {all_folders:,} folders",
        )
    return replace(stream, names=names, decoded=decoded, notes=notes)


def turned(
    images: Iterable[np.ndarray], channels: Channels | None, size: Size | None
) -> Iterator[np.ndarray]:
    """Convert images in memory, uint8 [height, width, channels], as `decode.pixels` does those of files."""
    for image in images:
        yield pixels(to_picture(image), channels=channels, size=size)


def channels_last(place: str, images: np.ndarray) -> np.ndarray:
    """View an array of images as [n, height, width, channels].

    Raises:
        UserError: it is no array of images.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise UserError(
            f"{place}: expected images [n, height, width, channels] or [n, channels, height, width] with"
            f" 1 or 3 channels, got {list(images.shape)}"
        )
    return images


def _notes_of_shape(images: np.ndarray) -> tuple[str, ...]:
    """Notes on shapes that can be read in two ways."""
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] in (1, 3):
        return (
            f"{list(images.shape)} is read as [n, height, width, channels]; it might be"
            " [n, channels, height, width]",
        )
    if images.ndim == 3 and (images.shape[0] in (1, 3) or images.shape[2] in (1, 3)):
        return (f"{list(images.shape)} is read as {len(images)} grey images",)
    return ()


def _require_range(
    place: str, images: np.ndarray, pixel_range: PixelRange | None
) -> tuple[str, ...]:
    """Check that floats have a range and keep to it; return a note if they use little of it."""
    if images.dtype.kind != "f":
        raise UserError(f"{place}: expected uint8 or floats, got {images.dtype}")
    low, high = float(images.min()), float(images.max())
    values = f"values from {low:g} to {high:g}"
    if pixel_range is None:
        raise UserError(
            f"{place}: expected --pixel-range with floats (such as 0 1, -1 1 or 0 255), got none; {values}"
        )
    if not pixel_range[0] < pixel_range[1]:
        raise UserError(f"pixel_range: expected black below white, got {pixel_range}")
    # NaN is neither.
    if not (low >= pixel_range[0] and high <= pixel_range[1]):
        raise UserError(
            f"{place}: expected values from {pixel_range[0]:g} to {pixel_range[1]:g}, got {values}"
        )
    if high - low < _LEAST_OF_RANGE * (pixel_range[1] - pixel_range[0]):
        return (
            f"{values} are almost the same grey if black is {pixel_range[0]:g} and white is"
            f" {pixel_range[1]:g}: is that the range of these floats?",
        )
    return ()


def _stream_of_parquet(folder: Path, files: list[Path]) -> ImageStream:
    part = parquet_images(folder, files)
    if not part.names:
        raise UserError(f"{folder}: expected images, got parquet files without rows")
    return ImageStream(
        str(files[0] if len(files) == 1 else folder),
        part.names,
        lambda channels, size, rows: decode_in_order(
            islice(part.encoded(), rows.start, rows.stop, rows.step), channels=channels, size=size
        ),
    )


def _array(path: Path, key: str | None) -> np.ndarray:
    with reading(path, "an array of images"):
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            array = content[_key_of(path, content.files, key)]
        if not isinstance(array, np.ndarray):
            raise UserError(f"{path}: expected an array, got a member that is not one")
        return array


def _key_of(path: Path, names: Sequence[str], key: str | None) -> str:
    """The name of the array of images."""
    available = one_line(", ".join(names) or "none")
    if key is not None:
        if key not in names:
            raise UserError(f"{path}: expected an array named {key}, as key says, got {available}")
        return key
    if len(names) == 1:
        return names[0]
    if FIRST_ARRAY in names:
        return FIRST_ARRAY
    raise UserError(f"{path}: expected one array, or --key with its name, got {available}")
