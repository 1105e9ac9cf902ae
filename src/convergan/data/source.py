"""Open the data set that settings describe."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from convergan.data.digits import open_digits
from convergan.data.duplicates import notes_of_duplicates
from convergan.data.encoded_source import Part, Source
from convergan.data.hub import hub_id, open_hub
from convergan.data.image_folder import open_image_folder
from convergan.data.image_set import DataSet, Images, ImageSet, data_set
from convergan.data.names import ChosenNames
from convergan.data.parquet import find_parquet, open_parquet
from convergan.data.store import Store, open_store
from convergan.data.stored_images import StoredImages
from convergan.errors import UserError
from convergan.files import cache_folder
from convergan.images.read_images import find_in_folder
from convergan.images.regular_files import kind_of
from convergan.progress_bar import Progress
from convergan.recipes.settings import DataSettings


def open_data_set(
    settings: DataSettings,
    progress: Progress | None = None,
    on_source: Callable[[Source], None] | None = None,
    before_decoding: Callable[[Source], None] | None = None,
) -> DataSet:
    """Open a data set, decoding its images the first time.

    Each image is decoded once, into a store in the cache folder (`store.open_store`); the next time nothing
    is decoded as long as no image file has changed. Labels are read anew every time: new ones cost no
    decoding. Images up to `settings.resident_mb` (of 10^6 bytes) are read into memory, more stay on the disk.
    If several processes open new images at once, each decodes them, and the first one's store is kept: let
    one process go first.

    Args:
        settings: the source, `digits`, `folder`, or a data set of the hub, which is downloaded unless
            `settings.path` is a folder with its files. A folder holds parquet files
            (`parquet.find_parquet`) or images (`image_folder.open_image_folder`).
        progress: called with (images done, images in all) now and then while images are decoded.
        on_source: called with the source before anything is decoded, unless it is built in; may raise.
        before_decoding: called with the source, too, if its images must be decoded now.

    Raises:
        UserError: one line that names the setting or the file: absent or empty folders, unreadable images,
            images of different sizes, labels outside the classes, a cache that cannot be written.
    """
    if settings.source == "digits":
        if settings.path is not None:
            raise UserError(
                f"data.path: expected none with the source digits, which is built in, got {settings.path}"
            )
        return open_digits(size_px=settings.size_px, channels=settings.channels)
    source = _find(settings)
    if on_source is not None:
        on_source(source)
    store = open_store(source, settings, cache_folder(settings.cache), progress, before_decoding)
    train, test = _with_labels(source, store)
    # For images on the disk, it would read all of them.
    in_memory = isinstance(store.images, np.ndarray)
    duplicates = notes_of_duplicates(train, test, source.classes) if in_memory else []
    return data_set(
        train,
        test,
        source.classes,
        source=source.place,
        skipped=store.content.skipped,
        pixels_sha256=store.content.pixels_sha256,
        notes=[*source.notes, *store.notes, *duplicates],
    )


def _find(settings: DataSettings) -> Source:
    if settings.path is None:
        if settings.source == "folder":
            raise UserError(
                "data.path: expected a folder of images, got none; --data.path DIR names one"
            )
        return open_hub(settings.source)
    path = settings.path.expanduser()
    if not path.is_dir():
        kind = kind_of(path)
        advice = "; name the folder with the classes" if kind == "a file" else ""
        problem = "where there is nothing" if kind == "nothing there" else f"which is {kind}"
        raise UserError(f"data.path: expected a folder of images, got {path}, {problem}{advice}")
    _, configuration = hub_id(settings.source)
    if configuration is not None and (path / configuration).is_dir():
        path = path / configuration
    parquet = find_parquet(path)
    if not any(parquet.values()):
        return open_image_folder(path)
    source = open_parquet(path, parquet)
    images = len(find_in_folder(path).images)
    if not images:
        return source
    note = f"{images:,} image files next to parquet files are not read, unless these name them"
    return replace(source, notes=(*source.notes, note))


def _with_labels(source: Source, store: Store) -> tuple[ImageSet, ImageSet | None]:
    """The store's images, training before test, with the labels and names of images that were not skipped."""
    count = len(source.train.names)
    decoded_rows = np.delete(np.arange(store.content.rows), list(store.content.skipped_rows))
    test_start = int((decoded_rows < count).sum())
    train = _image_set(source.train, store.images, 0, decoded_rows[:test_start])
    if source.test is None:
        return train, None
    test_rows = decoded_rows[test_start:] - count
    return train, _image_set(source.test, store.images, test_start, test_rows)


def _image_set(part: Part, images: Images, start: int, rows: np.ndarray) -> ImageSet:
    """The images of a part, from index `start` on, with labels and names of `rows`, those not skipped."""
    stop = start + len(rows)
    names: Sequence[str] = part.names
    if len(rows) < len(names):
        names = ChosenNames(names, rows)
    selected = images.part(start, stop) if isinstance(images, StoredImages) else images[start:stop]
    return ImageSet(selected, part.labels[rows], names)
