"""Photographs of a camera: refused before they are decoded, with what they would cost."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from torch import nn

from convergan.data.image_folder import open_image_folder
from convergan.data.image_sizes import first_size, sensible_size_px
from convergan.errors import UserError
from convergan.recipes.networks import ConvSettings
from convergan.recipes.settings import Recipe
from convergan.training.run import train
from support import FORMER_FOLDER


def write_photos(folder: Path, width: int, height: int, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (folder / kind).mkdir(parents=True)
        for number in range(4):
            photo = Image.new("RGB", (width, height), colour)
            photo.save(folder / kind / f"{number}.jpg", exif=exif)
    return folder


def recipe_for(folder: Path, cache: Path) -> Recipe:
    preset = FORMER_FOLDER
    return replace(
        preset,
        batch_size=4,
        networks=ConvSettings(width=4, generator_width=8, latent_size=10),
        data=replace(preset.data, path=folder, cache=cache),
    )


def test_photographs_are_refused_with_what_they_cost(tmp_path: Path, quiet: Console) -> None:
    folder = write_photos(tmp_path / "photos", 400, 90)
    with pytest.raises(UserError) as refused:
        train(recipe_for(folder, tmp_path / "cache"), tmp_path / "run", console=quiet)
    message = str(refused.value)
    size_px = sensible_size_px(90, 400)
    expected = (
        r"data\.size-px: expected a size, as the images have more than 256 px, got none and images of "
        r"400x90 px, on which training takes about (\S+) MB of memory and (.+); "
        rf"--data\.size-px {size_px} resizes all, for about (\S+) MB and (.+), and half .*"
    )
    memory, time, less_memory, less_time = re.fullmatch(expected, message).groups()  # type: ignore[union-attr]
    assert float(memory) > float(less_memory)
    assert time != less_time
    # Nothing has been decoded, nothing begun.
    assert not (tmp_path / "cache").exists() and not (tmp_path / "run").exists()


def test_a_network_of_ones_own_is_not_asked_what_large_images_cost(
    tmp_path: Path, quiet: Console
) -> None:
    """A network of one's own may take images of one size alone."""
    recipe = recipe_for(write_photos(tmp_path / "photos", 400, 90), tmp_path / "cache")

    def network_of_small_images(shape: tuple[int, int, int], classes: int) -> nn.Module:
        assert shape == (3, 16, 16)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, classes))

    with pytest.raises(UserError) as refused:
        train(recipe, tmp_path / "run", network=network_of_small_images, console=quiet)
    size_px = sensible_size_px(90, 400)
    assert str(refused.value) == (
        "data.size-px: expected a size, as the images have more than 256 px, got none and images of "
        f"400x90 px; data.size-px {size_px} resizes all"
    )


def test_images_of_256_px_are_taken_and_larger_ones_where_a_size_is_given(
    tmp_path: Path, quiet: Console
) -> None:
    folder = write_photos(tmp_path / "photos", 300, 200)
    recipe = replace(recipe_for(folder, tmp_path / "cache"), epochs=1, min_steps_per_epoch=1)
    resized = replace(recipe, data=replace(recipe.data, size_px=16, folds=0))
    assert train(resized, tmp_path / "run", console=quiet).epochs == 1
    write_photos(tmp_path / "small", 256, 9)
    unresized = replace(recipe, data=replace(recipe.data, path=tmp_path / "small", folds=0))
    assert train(unresized, tmp_path / "kept", console=quiet).epochs == 1


def test_the_size_is_that_of_the_upright_image(tmp_path: Path) -> None:
    for orientation, size in ((1, (30, 40)), (6, (40, 30))):
        folder = write_photos(tmp_path / str(orientation), 40, 30, orientation)
        assert first_size(open_image_folder(folder)) == size


def test_what_has_no_header_is_passed_over(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 40, 30)
    (folder / "blue" / "0.jpg").write_bytes(b"no image")
    (folder / "blue" / "1.jpg").write_bytes(b"")
    assert first_size(open_image_folder(folder)) == (30, 40)
    for file in folder.rglob("*.jpg"):
        file.write_bytes(os.urandom(50))
    assert first_size(open_image_folder(folder)) is None


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe takes the file's place between a look at its kind and its opening."""
    folder = write_photos(tmp_path / "photos", 40, 30)
    file, *other_files = sorted(folder.rglob("*.jpg"))
    source = open_image_folder(folder)
    stat = os.stat

    def stat_before_the_change(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        status = stat(path, *arguments, **options)
        if not isinstance(path, int) and Path(path) == file and S_ISREG(status.st_mode):
            file.unlink()
            os.mkfifo(file)
        return status

    def waited(*_: object) -> None:
        pytest.fail("it waits for the pipe")

    monkeypatch.setattr(os, "stat", stat_before_the_change)
    previous_handler = signal.signal(signal.SIGALRM, waited)
    signal.alarm(20)
    try:
        assert first_size(source) == (30, 40)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous_handler)
    assert other_files and file.is_fifo()


def test_a_size_is_told_without_decoding(tmp_path: Path) -> None:
    """Only the header of each file is intact."""
    folder = write_photos(tmp_path / "photos", 4000, 60)
    for file in folder.rglob("*.jpg"):
        file.write_bytes(file.read_bytes()[:700])
    assert first_size(open_image_folder(folder)) == (60, 4000)
    with pytest.raises(UserError, match="images of 4000x60 px, on which training takes about "):
        train(recipe_for(folder, tmp_path / "cache"), tmp_path / "run", console=Console(quiet=True))


def test_arrays_are_taken_as_they_are(quiet: Console, tmp_path: Path) -> None:
    from convergan.data.image_set import data_set_from_arrays
    from convergan.training.preparation import prepare

    images = np.random.default_rng(0).integers(0, 256, (6, 12, 300), dtype=np.uint8)
    recipe = recipe_for(tmp_path, tmp_path / "cache")
    data = data_set_from_arrays(images, np.array([0, 0, 0, 1, 1, 1]))
    assert prepare(recipe, data, processes=1).cost is not None
