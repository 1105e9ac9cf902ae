from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.images.decode import Unreadable, decode, decode_in_order


def file_of(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_grey_pixels_survive_every_lossless_format(format):
    values = noise(6, 5)
    assert np.array_equal(decode(file_of(Image.fromarray(values), format)), values[..., None])


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})]
)
def test_other_formats_are_read(format, options):
    smooth = np.add.outer(np.arange(32), 3 * np.arange(32)).astype(np.uint8)
    decoded = decode(file_of(Image.fromarray(smooth).convert("RGB"), format, **options))
    assert np.abs(decoded[..., 0].astype(int) - smooth).max() <= 6


def test_colour_has_three_channels_and_grey_contents_one():
    colour = noise(4, 4, 3)
    assert np.array_equal(decode(file_of(Image.fromarray(colour))), colour)
    grey_as_rgb = np.repeat(noise(4, 4, 1), 3, axis=2)
    assert np.array_equal(decode(file_of(Image.fromarray(grey_as_rgb))), grey_as_rgb[..., :1])
    # Grey in the first line alone is not grey.
    grey_as_rgb[3, 3] = (1, 2, 3)
    assert decode(file_of(Image.fromarray(grey_as_rgb))).shape == (4, 4, 3)


def test_channels_asked_for_are_given():
    grey, colour = noise(4, 4), noise(4, 4, 3)
    assert np.array_equal(
        decode(file_of(Image.fromarray(grey)), channels=3), np.repeat(grey[..., None], 3, axis=2)
    )
    luma = decode(file_of(Image.fromarray(colour)), channels=1)[..., 0]
    assert np.abs(luma - colour @ [0.299, 0.587, 0.114]).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(format):
    values = np.array([[0, 128, 129, 257], [32767, 65278, 65407, 65535]], dtype=np.uint16)
    decoded = decode(file_of(Image.fromarray(values), format))[..., 0]
    assert np.array_equal(decoded, np.rint(values / 257).astype(np.uint8))


def test_transparency_lies_on_white():
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0, :, 3] = (0, 51, 255)
    assert decode(file_of(Image.fromarray(pixels)))[0, :, 0].tolist() == [255, 204, 0]


def test_palettes_bits_and_cmyk_become_what_they_show():
    colour = Image.new("RGB", (4, 4), (200, 30, 40))
    assert decode(file_of(colour.quantize(4)))[0, 0].tolist() == [200, 30, 40]
    bits = Image.fromarray(np.array([[True, False]]))
    assert decode(file_of(bits))[..., 0].tolist() == [[255, 0]]
    cmyk = decode(file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(cmyk[0, 0].astype(int) - [255, 0, 0]).max() <= 3


def test_a_photograph_is_turned_upright():
    values = np.zeros((16, 32, 3), dtype=np.uint8)
    values[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    decoded = decode(file_of(Image.fromarray(values), "JPEG", exif=exif))
    assert decoded.shape[:2] == (32, 16)
    assert decoded[:14].min() > 200 and decoded[18:].max() < 50


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("L", (3, 3), value) for value in (10, 200)]
    file = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(decode(file)).tolist() == [10]


def test_resizing_crops_the_centre_and_keeps_the_mean():
    values = np.zeros((20, 60), dtype=np.uint8)
    values[:, 20:40] = 100
    values[:, 40:] = 255
    decoded = decode(file_of(Image.fromarray(values)), size=(10, 10))
    assert decoded.shape == (10, 10, 1)
    assert np.abs(decoded.astype(int) - 100).max() <= 20  # the third in the middle, and a soft edge
    assert np.abs(decoded[:, 2:-2].astype(int) - 100).max() <= 2
    # Every second pixel is white: without a filter the result would be all black or all white.
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    assert abs(decode(file_of(Image.fromarray(stripes)), size=(16, 16)).mean() - 127.5) < 2


def broken_files() -> dict[str, bytes]:
    colour = Image.fromarray(noise(64, 64, 3))
    png, jpeg = file_of(colour), file_of(colour, "JPEG")
    return {
        "truncated PNG": png[: len(png) // 2],
        "truncated JPEG": jpeg[: len(jpeg) // 2],
        "broken PNG": png[:60] + b"\0" * 40 + png[100:],
        "only a header": png[:20],
        "empty": b"",
        "text": b"this is no image",
        "floating point": file_of(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "TIFF"),
        "32 bits": file_of(Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)), "TIFF"),
    }


@pytest.mark.parametrize("kind", broken_files())
def test_broken_files_are_unreadable_for_a_reason_of_one_line(kind):
    with pytest.raises(Unreadable) as caught:
        decode(broken_files()[kind])
    assert str(caught.value) and "\n" not in str(caught.value)


def test_an_absent_file_is_unreadable(tmp_path: Path):
    with pytest.raises(Unreadable, match="No such file"):
        decode(tmp_path / "absent.png")


@pytest.mark.parametrize("name", ["absent.png", "x" * 300, "null\0.png"])
def test_files_that_cannot_be_opened_stop_no_others(tmp_path: Path, name):
    image = noise(4, 4, 3)
    results = list(decode_in_order([tmp_path / name, file_of(Image.fromarray(image))]))
    assert isinstance(results[0], Unreadable) and np.array_equal(results[1], image)


@pytest.mark.parametrize("side", [4, 128])  # decoded by one thread, and by several
def test_results_come_in_order_with_the_unreadable_in_their_place(side):
    images = [noise(side, side, 3, seed=seed) for seed in range(40)]
    files: list[bytes | Path] = [file_of(Image.fromarray(image)) for image in images]
    files[17] = b"no image"
    results = list(decode_in_order(iter(files)))
    assert isinstance(results[17], Unreadable)
    for position, (result, image) in enumerate(zip(results, images, strict=True)):
        assert position == 17 or np.array_equal(result, image)


def test_nothing_to_decode_gives_nothing():
    assert list(decode_in_order([])) == []


@pytest.mark.parametrize("width", [8, 200], ids=["small and plain", "large"])
def test_no_flipped_bit_of_a_png_file_changes_its_pixels_unnoticed(tmp_path, width):
    pixels = np.random.default_rng(0).integers(0, 4, (8, width, 3), dtype=np.uint8) * 80
    Image.fromarray(pixels).save(tmp_path / "whole.png")
    intact = (tmp_path / "whole.png").read_bytes()
    step = 1 if width == 8 else 11
    damaged = []
    for position in range(0, len(intact), step):
        content = bytearray(intact)
        content[position] ^= 1 << position % 8
        damaged.append(bytes(content))
    results = list(decode_in_order(damaged))
    for result in results:
        assert isinstance(result, Unreadable) or np.array_equal(result, pixels)
    assert sum(isinstance(result, Unreadable) for result in results) > len(results) // 2


def test_a_png_file_whose_lines_do_not_fit_their_checksum_is_unreadable(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    # The last byte of the checksum of the lines stands before the end, which has 12 bytes.
    content[-13] ^= 1
    for encoded in (bytes(content), tmp_path / "a.png"):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(
            Unreadable, match="a PNG file whose chunk 'IDAT' does not fit its checksum"
        ):
            decode(encoded)
