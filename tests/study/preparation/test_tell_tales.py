"""Distributions give away sets that were made differently; sets that were made alike are not accused."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.images.header import jpeg_quality
from convergan.study.preparation.image_files import ImageFile
from convergan.study.preparation.tell_tales import looks_of, tell_tales


def photographs(count, seed, size_px=32):
    """Smooth noise, as photographs are, uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [
        np.asarray(Image.fromarray(image).resize((size_px, size_px), Image.Resampling.BICUBIC))
        for image in small
    ]


def write_images(folder: Path, images, **options):
    folder.mkdir()
    suffix = "jpg" if "quality" in options else "png"
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.{suffix}", **options)
    return folder


def warnings_of(size_px=32, **folders):
    looks = []
    for name, folder in folders.items():
        for path in sorted(folder.iterdir()):
            with Image.open(path) as image:
                pixels = np.asarray(image.resize((size_px, size_px)))
            looks.append(looks_of(ImageFile(name, folder, str(path), practice=False), pixels))
    return tell_tales(looks)


@pytest.mark.parametrize("options", [{}, {"quality": 90}], ids=["PNG", "JPEG"])
def test_sets_made_alike_are_not_accused(tmp_path, options):
    real = write_images(tmp_path / "real", photographs(40, 0), **options)
    generated = write_images(tmp_path / "made", photographs(40, 1), **options)
    assert warnings_of(real=real, made=generated) == []


def test_a_part_of_the_real_images_is_enough(tmp_path):
    """The sizes of 29 of 60 real images differ; the commonest size is that of the generated ones."""
    real = write_images(tmp_path / "real", photographs(31, 0) + photographs(29, 2, size_px=64))
    generated = write_images(tmp_path / "made", photographs(60, 1))
    assert warnings_of(real=real, made=generated)[0].startswith(
        "size: 100 % of the images of made are 32x32, 52 % of the real ones;"
    )


def test_jpeg_of_another_quality(tmp_path):
    real = write_images(tmp_path / "real", photographs(30, 0), quality=95)
    generated = write_images(tmp_path / "made", photographs(30, 1), quality=25)
    warnings = warnings_of(real=real, made=generated)
    assert warnings[0].startswith(
        "quality: 100 % of the images of made are JPEG of quality 25, 0 % of the real ones;"
    )


def test_blocks_that_stay_when_a_jpeg_becomes_a_png(tmp_path):
    def compressed(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=15)
        return np.asarray(Image.open(file))

    real = write_images(tmp_path / "real", photographs(30, 0))
    generated = write_images(
        tmp_path / "made", [compressed(photograph) for photograph in photographs(30, 1)]
    )
    warnings = warnings_of(real=real, made=generated)
    assert any(
        warning.startswith("blockiness: images of made tend to be more cut") for warning in warnings
    )


def test_images_that_were_scaled_up(tmp_path):
    real = write_images(tmp_path / "real", photographs(30, 0))
    soft = [
        np.asarray(
            Image.fromarray(image).resize((10, 10)).resize((32, 32), Image.Resampling.BICUBIC)
        )
        for image in photographs(30, 1)
    ]
    generated = write_images(tmp_path / "made", soft)
    warnings = warnings_of(real=real, made=generated)
    assert any(
        warning.startswith(
            "sharpness: images of made tend to be softer than the real ones; this alone"
        )
        for warning in warnings
    )


def test_half_of_the_real_images_out_of_focus(tmp_path):
    """The median sharpnesses are nearly alike, but people learn that soft images are real."""
    images = photographs(60, 0)
    soft = [
        np.asarray(
            Image.fromarray(image).resize((10, 10)).resize((32, 32), Image.Resampling.BICUBIC)
        )
        for image in images[:30]
    ]
    real = write_images(tmp_path / "real", soft + images[30:])
    generated = write_images(tmp_path / "made", photographs(60, 1))
    warning = warnings_of(real=real, made=generated)[0]
    assert warning.startswith("sharpness: images of made tend to be sharper than the real ones")


def test_obvious_fakes_may_be_told_by_anything(tmp_path):
    real = write_images(tmp_path / "real", photographs(30, 0))
    fakes = write_images(tmp_path / "control", photographs(30, 1, size_px=64), quality=15)
    assert warnings_of(real=real, other=fakes)
    assert warnings_of(real=real, control=fakes) == []


@pytest.mark.parametrize("quality", [25, 50, 75, 90, 95])
def test_the_quality_of_a_jpeg_is_the_one_it_was_saved_with(tmp_path, quality):
    Image.fromarray(photographs(1, 0)[0]).save(tmp_path / "a.jpg", quality=quality)
    assert abs(jpeg_quality(str(tmp_path / "a.jpg")) - quality) <= 1
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert jpeg_quality(str(tmp_path / "a.png")) is None
