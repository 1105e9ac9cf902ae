"""Folders, parquet files and arrays come out as the same images; what is ambiguous is refused."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from convergan.data.image_stream import ImageStream, open_image_stream, stream_of_array
from convergan.errors import UserError
from convergan.images.decode import Unreadable
from drawn_images import png_bytes

ALL_ROWS = slice(None)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(7, 6, 5, 3), dtype=np.uint8)


def read(stream: ImageStream, channels: int | None = 3, rows: slice = ALL_ROWS) -> np.ndarray:
    return np.stack([image for image in stream.decoded(channels, None, rows)])  # type: ignore[arg-type,misc]


def write_parquet(path: Path, pixels: np.ndarray) -> None:
    cells = [{"bytes": png_bytes(image), "path": None} for image in pixels]
    pa.parquet.write_table(pa.table({"image": cells}), path)


def test_all_kinds_give_the_same_images(pixels: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, image in enumerate(pixels):
        (folder / f"{number}.png").write_bytes(png_bytes(image))
    tables = tmp_path / "tables"
    tables.mkdir()
    write_parquet(tables / "data.parquet", pixels)
    np.save(tmp_path / "nhwc.npy", pixels)
    np.savez(tmp_path / "nchw.npz", pixels.transpose(0, 3, 1, 2))
    np.save(tmp_path / "floats.npy", (pixels / 127.5 - 1).astype(np.float32))
    for path, options in (
        (folder, {}),
        (tables, {}),
        (tables / "data.parquet", {}),
        (tmp_path / "nhwc.npy", {}),
        (tmp_path / "nchw.npz", {}),
        (tmp_path / "floats.npy", {"pixel_range": (-1.0, 1.0)}),
    ):
        stream = open_image_stream(path, **options)  # type: ignore[arg-type]
        assert len(stream) == len(stream.names) == len(pixels)
        np.testing.assert_array_equal(read(stream), pixels, err_msg=str(path))
        np.testing.assert_array_equal(read(stream, rows=slice(1, None, 3)), pixels[1::3])
        np.testing.assert_array_equal(read(stream, rows=slice(2, 4)), pixels[2:4])


def test_channels_and_size_are_as_asked_for(pixels: np.ndarray) -> None:
    stream = stream_of_array("a", pixels[..., 0])
    assert read(stream, channels=None).shape == (7, 6, 5, 1)
    assert read(stream).shape == (7, 6, 5, 3)
    (image,) = stream.decoded(1, (12, 10), slice(0, 1))
    assert isinstance(image, np.ndarray)
    assert image.shape == (12, 10, 1)


def test_an_unreadable_image_keeps_its_place(pixels: np.ndarray, tmp_path: Path) -> None:
    for number, image in enumerate(pixels):
        (tmp_path / f"{number}.png").write_bytes(png_bytes(image)[: 20 if number == 2 else None])
    decoded = list(open_image_stream(tmp_path).decoded(3, None, ALL_ROWS))
    assert [number for number, entry in enumerate(decoded) if isinstance(entry, Unreadable)] == [2]


def test_splits_are_asked_for_where_there_are_several(pixels: np.ndarray, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", pixels)
    write_parquet(tmp_path / "test-0.parquet", pixels[:2])
    with pytest.raises(UserError, match="expected --split train or test, as it has both, got none"):
        open_image_stream(tmp_path)
    assert len(open_image_stream(tmp_path, split="test")) == 2
    assert open_image_stream(tmp_path, split="test").split == "test"
    (tmp_path / "test-0.parquet").unlink()
    with pytest.raises(UserError, match="expected parquet files of test, got none"):
        open_image_stream(tmp_path, split="test")
    (tmp_path / "train-0.parquet").rename(tmp_path / "images.parquet")
    stream = open_image_stream(tmp_path, split="test")
    assert len(stream) == 7 and stream.split is None


def test_a_range_is_of_floats_alone(pixels: np.ndarray) -> None:
    floats = stream_of_array("a", pixels / 255, (0.0, 1.0))
    uint8 = stream_of_array("a", pixels, (0.0, 1.0))
    assert floats.pixel_range == (0.0, 1.0) and uint8.pixel_range is None
    np.testing.assert_array_equal(read(floats), read(uint8))


@pytest.mark.parametrize(
    ("change", "pixel_range", "message"),
    [
        (lambda p: p / 255, None, r"a: expected --pixel-range with floats .* values from 0 to 1$"),
        (lambda p: p / 255, (-1.0, 0.5), r"expected values from -1 to 0.5, got values from 0 to 1"),
        (
            lambda p: p * np.nan,
            (0.0, 1.0),
            r"expected values from 0 to 1, got values from nan to nan",
        ),
        (lambda p: p / 255, (1.0, 0.0), "pixel_range: expected black below white"),
        (lambda p: p.astype(np.int64), None, "a: expected uint8 or floats, got int64"),
        (lambda p: p[0, 0], None, r"a: expected images \[n, height, width, channels\]"),
        (lambda p: p[..., :2], None, r"got \[7, 6, 5, 2\]"),
    ],
)
def test_ambiguous_arrays_are_refused(
    change: object, pixel_range: tuple[float, float] | None, message: str, pixels: np.ndarray
) -> None:
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    with pytest.raises(UserError, match=message):
        stream_of_array("a", change(pixels), pixel_range)  # type: ignore[operator]


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(UserError, match="expected one array, or --key with its name, got a, b"):
        open_image_stream(tmp_path / "two.npz")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match="expected an array of images"):
        open_image_stream(tmp_path / "objects.npy")
    with pytest.raises(UserError, match=r"a folder of images, .* or a run, got nothing there"):
        open_image_stream(tmp_path / "absent")


def _npy(shape: str) -> bytes:
    """A .npy of uint8 whose header tells this shape, and one byte."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"x"


def _npz(member: bytes, name: str = "a.npy", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.writestr(name, member)
    return content.getvalue()


def _encrypted() -> bytes:
    """The flag of encryption in both places where a member is described."""
    content = bytearray(_npz(_npy("(1, 1, 1)")))
    for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(head) + place] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b""),
        ("a.npy", b"\x93NUMPY"),
        ("a.npy", b"\x93NUMPY\x01\x00\x04\x00{(,}"),
        ("a.npy", _npy("(1, 1, ")),
        ("a.npy", _npy("(10**9, 'x')")),
        ("a.npy", _npy("(1000000000000, 1000, 1000)")),
        ("a.npy", _npy("(99999999999999999999, 1, 1)")),
        ("a.npy", _npy("(-1, 1, 1)")),
        ("a.npz", b""),
        ("a.npz", b"PK\x05\x06" + bytes(18)),
        ("a.npz", _npz(_npy("(1, 1, 1)"))[:-30]),
        ("a.npz", _npz(_npy("(1000000000000, 1000, 1000)"))),
        ("a.npz", _npz(_npy("(1, 1, 1)")[:-1])),
        ("a.npz", _npz(b"text", "a.txt")),
        ("a.npz", _encrypted()),
        ("a.npz", _npz(_npy("(1, 1, 1)")).replace(b"\x08\x00", b"\x63\x00")),
    ],
)
def test_damaged_arrays_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: expected (an array|one array|images)") as caught:
        open_image_stream(tmp_path / name)
    assert str(caught.value).isprintable()


def test_images_are_scored_whatever_their_labels_say(pixels: np.ndarray, tmp_path: Path) -> None:
    cells = [{"bytes": png_bytes(image), "path": None} for image in pixels]
    labels = pa.array([b"\xff"] * len(cells)).view(pa.string())
    pa.parquet.write_table(pa.table({"image": cells, "label": labels}), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read(open_image_stream(tmp_path / "a.parquet")), pixels)


def test_parquet_files_without_rows_are_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pixels)
    pa.parquet.write_table(
        pa.parquet.read_table(tmp_path / "a.parquet")[:0], tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match="expected images, got parquet files without rows"):
        open_image_stream(tmp_path / "a.parquet")
