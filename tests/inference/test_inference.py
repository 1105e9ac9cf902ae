"""Predicting and sampling with a finished run, over real files."""

import csv
import io
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.images.read_images import SkippedImage
from convergan.inference.predict import batches_of_files, find_files, predict, predicted_batches
from convergan.inference.predict_csv import predict_to_csv
from convergan.inference.sample_files import sample_to_folder
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import SupervisedSettings
from convergan.runs.model import load_classifier
from convergan.training.run import train
from drawn_images import write_folder
from support import FORMER_FOLDER


@pytest.fixture(scope="module")
def digit_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test digits as PNG files, grey and (every third) colour, in folders."""
    folder = tmp_path_factory.mktemp("digits")
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    for number, image in enumerate(data.test.images[:60]):
        place = folder / f"part-{number % 2}"
        place.mkdir(exist_ok=True)
        mode = "RGB" if number % 3 == 0 else "L"
        Image.fromarray(image[:, :, 0]).convert(mode).save(place / f"{number:03d}.png")
    return folder


def test_predictions_are_those_of_the_classifier(
    trained_run: Path, digit_files: Path, tmp_path: Path
) -> None:
    calls = []
    out = tmp_path / "predictions.csv"
    count = predict_to_csv(
        trained_run, digit_files, out, progress=lambda *numbers: calls.append(numbers)
    )
    rows = list(csv.DictReader(out.open()))
    assert count == len(rows) == 60 and calls[-1] == (60, 60)
    assert list(rows[0]) == ["path", "label", "confidence", *map(str, range(10))]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    for row in rows:
        probabilities = [float(row[str(digit)]) for digit in range(10)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert row["label"] == str(int(np.argmax(probabilities)))
        assert float(row["confidence"]) == max(probabilities)
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    right = sum(
        row["label"] == data.classes[data.test.labels[int(Path(row["path"]).stem)]] for row in rows
    )
    assert right > 40


def test_the_file_says_what_python_is_told(
    trained_run: Path, digit_files: Path, tmp_path: Path
) -> None:
    # More than one batch, and names that a CSV file must quote.
    folder = tmp_path / "images"
    folder.mkdir()
    files = sorted(digit_files.rglob("*.png"))
    for number in range(600):
        name = f"{number:03d}, \"\n'é.png" if number % 7 == 0 else f"{number:03d}.png"
        (folder / name).write_bytes(files[number % len(files)].read_bytes())
    predict_to_csv(trained_run, folder, tmp_path / "out.csv")
    # As spreadsheets write and expect it where there is more than ASCII.
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    predicted = predict(trained_run, folder)
    assert len(rows) == len(predicted) == 600 and header[:3] == ["path", "label", "confidence"]
    assert tuple(header[3:]) == predicted.classes
    for place, row in enumerate(rows):
        numbers = (predicted.confidences[place], *predicted.probabilities[place])
        texts = [predicted.names[place], predicted.classes[predicted.labels[place]]]
        assert row == [*texts, *(f"{value:.6f}" for value in numbers)]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    assert buffer.getvalue().encode("utf-8-sig") == (tmp_path / "out.csv").read_bytes()


def test_the_process_keeps_its_settings(trained_run: Path, digit_files: Path) -> None:
    def in_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    threads, switch_seconds = torch.get_num_threads(), sys.getswitchinterval()
    try:
        torch.set_num_threads(3)
        sys.setswitchinterval(0.004)
        classifier = load_classifier(trained_run)
        batches = batches_of_files(classifier, find_files(digit_files), None)
        # More batches than are in the network at once.
        predicted = predicted_batches(classifier, (batch for batch in list(batches) * 9))
        assert next(predicted) and sys.getswitchinterval() < 0.004
        assert len(list(predicted)) == 8
        assert torch.get_num_threads() == in_a_new_thread() == 3
        assert sys.getswitchinterval() == pytest.approx(0.004)
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(switch_seconds)


def test_an_interrupt_leaves_nothing(trained_run: Path, digit_files: Path, tmp_path: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_csv(trained_run, digit_files, tmp_path / "out.csv", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_image_is_named_and_nothing_is_left(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("L", (9, 8)).save(tmp_path / "images" / "wide.png")
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(UserError, match=r"wide\.png"):
        predict_to_csv(trained_run, tmp_path / "images", out, overwrite=True)
    assert out.read_text() == "old"
    with pytest.raises(UserError, match=r"^out: expected a new file, got .*out\.csv, which exists"):
        predict_to_csv(trained_run, tmp_path / "images", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out.csv"]
    with pytest.raises(UserError, match="expected a file in an existing folder"):
        predict_to_csv(trained_run, tmp_path / "images", tmp_path / "absent" / "out.csv")


def test_an_output_that_exists_hides_no_mistake_in_the_inputs(
    trained_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(UserError, match=r"nowhere: expected an image or .*, got nothing there"):
        predict_to_csv(trained_run, tmp_path / "nowhere", out)
    with pytest.raises(UserError, match=r"absent: expected a run folder, got nothing there$"):
        predict_to_csv(tmp_path / "absent", tmp_path / "nowhere", out)
    assert out.read_text() == "old"


def test_one_unreadable_image_does_not_cost_the_others(
    trained_run: Path, digit_files: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "images", tmp_path / "out.csv"
    shutil.copytree(digit_files, folder)
    (folder / "part-0" / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.png: expected a readable image"):
        predict_to_csv(trained_run, folder, out)
    assert not out.exists()
    skipped: list[SkippedImage] = []
    assert predict_to_csv(trained_run, folder, out, unreadable=skipped.append) == 60
    (image,) = skipped
    assert image.name.endswith("broken.png") and image.reason
    with out.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 60


def test_an_image_is_not_replaced_by_what_is_said_of_it(trained_run: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("L", (8, 8)).save(image)
    with pytest.raises(UserError, match=r"^out: expected a file other than the image"):
        predict_to_csv(trained_run, tmp_path, image, overwrite=True)
    assert Image.open(image).size == (8, 8)


def test_an_image_that_is_named_twice_is_classified_once(
    trained_run: Path, digit_files: Path, tmp_path: Path
) -> None:
    places = [digit_files, digit_files / "part-0", next(digit_files.rglob("*.png"))]
    assert predict_to_csv(trained_run, places, tmp_path / "out.csv") == 60


def test_a_spreadsheet_computes_nothing_and_reads_every_name(
    trained_run: Path, digit_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(digit_files.rglob("*.png"))
    monkeypatch.chdir(tmp_path)
    names = ["=HYPERLINK(1).png", "-cmd.png", "@a.png", "plain.png"]
    for name in names:
        shutil.copy(file, name)
    predict_to_csv(trained_run, Path(), Path("ascii.csv"))
    content = Path("ascii.csv").read_bytes()
    assert content.startswith(b"path,label") and not re.search(rb"^[\"']?[=+@-]", content, re.M)
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert sorted(Path(row["path"]).name for row in rows) == sorted(names)
    assert all(Path(row["path"]).is_file() for row in rows)
    shutil.copy(file, "süß.png")
    predict_to_csv(trained_run, [Path("süß.png"), Path("plain.png")], Path("names.csv"))
    assert Path("names.csv").read_bytes().startswith("\N{BYTE ORDER MARK}path".encode())
    lines = Path("names.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [row["path"] for row in csv.DictReader(lines)] == ["süß.png", "plain.png"]


def test_a_pipe_gets_nothing_of_a_run_that_cannot_classify(
    quick_recipe: Recipe, quiet: Console, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    binary = quick_recipe.objective.with_term(SupervisedSettings(weight=0.0))
    recipe = replace(quick_recipe, epochs=1, labels=None, objective=binary)
    train(recipe, tmp_path / "run", console=quiet)
    Image.new("L", (8, 8)).save(tmp_path / "ä.png")
    with pytest.raises(UserError, match="expected a run with classes"):
        predict_to_csv(tmp_path / "run", tmp_path / "ä.png", Path("-"))
    assert capfd.readouterr().out == ""


def test_a_pipe_has_no_byte_order_mark(
    trained_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "ä.png")
    predict_to_csv(trained_run, tmp_path / "ä.png", Path("-"))
    assert capfd.readouterr().out.startswith("path,label")


def test_a_grid_that_cannot_be_written_leaves_the_folder_as_it_was(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("convergan.inference.sample_files.write_sample_grid", fail)
    with pytest.raises(OSError, match="No space left"):
        sample_to_folder(trained_run, 3, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file_to_write(trained_run: Path, digit_files: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="out: expected a file, got the folder"):
        predict_to_csv(trained_run, digit_files, tmp_path)


def test_a_run_on_resized_images_resizes(quiet: Console, tmp_path: Path) -> None:
    write_folder(tmp_path / "images", labelled=3, test=2, size_px=40)
    preset = FORMER_FOLDER
    recipe = replace(
        preset,
        epochs=1,
        min_steps_per_epoch=1,
        networks=ConvSettings(width=4, generator_width=8, latent_size=4),
        data=replace(preset.data, path=tmp_path / "images", size_px=16, cache=tmp_path / "cache"),
    )
    train(recipe, tmp_path / "run", console=quiet)
    Image.new("RGB", (100, 70)).save(tmp_path / "other.png")
    assert predict_to_csv(tmp_path / "run", tmp_path / "other.png", tmp_path / "out.csv") == 1


def test_samples_are_the_same_whatever_the_count(trained_run: Path, tmp_path: Path) -> None:
    sample_to_folder(trained_run, 3, tmp_path / "few")
    grid = sample_to_folder(trained_run, 300, tmp_path / "many")
    other_grid = sample_to_folder(trained_run, 3, tmp_path / "other", seed=1)
    assert len(list((tmp_path / "many").iterdir())) == 300
    for number in range(3):
        name = f"{number:06d}.png"
        first, second = (np.asarray(Image.open(tmp_path / part / name)) for part in ("few", "many"))
        assert first.shape == (8, 8) and first.dtype == np.uint8
        assert np.array_equal(first, second)
        assert not np.array_equal(first, np.asarray(Image.open(tmp_path / "other" / name)))
    assert grid == tmp_path / "many-grid.png" and Image.open(grid).size > (80, 80)
    assert other_grid.exists()


def test_samples_overwrite_nothing(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        sample_to_folder(trained_run, 1, tmp_path)
    with pytest.raises(UserError, match="count: expected 1 or more, got 0"):
        sample_to_folder(trained_run, 0, tmp_path / "new")
    (tmp_path / "kept-grid.png").write_text("mine")
    with pytest.raises(UserError, match=r"^out: expected a new file, got .*kept-grid\.png"):
        sample_to_folder(trained_run, 1, tmp_path / "kept")
    assert (tmp_path / "kept-grid.png").read_text() == "mine" and not (tmp_path / "kept").exists()
    sample_to_folder(trained_run, 1, tmp_path / "kept", overwrite=True)
    assert Image.open(tmp_path / "kept-grid.png").size


def test_an_interrupted_folder_of_samples_is_not_in_the_way(
    trained_run: Path, tmp_path: Path
) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    existing = tmp_path / "mine"
    existing.mkdir()
    for out in (tmp_path / "new", existing):
        with pytest.raises(KeyboardInterrupt):
            sample_to_folder(trained_run, 3, out, progress=interrupt)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
    sample_to_folder(trained_run, 3, existing)
    assert len(list(existing.iterdir())) == 3


def test_folders_that_are_no_finished_run(
    trained_run: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"expected a run folder, got a folder without recipe\.yaml"
    ):
        sample_to_folder(tmp_path, 1, tmp_path / "out")
    (tmp_path / "recipe.yaml").write_text((trained_run / "recipe.yaml").read_text())
    with pytest.raises(UserError, match="expected a finished run"):
        sample_to_folder(tmp_path, 1, tmp_path / "out")
    model = tmp_path / "model"
    model.mkdir()
    config = (trained_run / "model" / "config.json").read_text()
    (model / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"generator.safetensors: expected the weights"):
        sample_to_folder(tmp_path, 1, tmp_path / "out")
    weights = (trained_run / "model" / "classifier.safetensors").read_bytes()
    (model / "generator.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"generator.safetensors: expected the weights"):
        sample_to_folder(tmp_path, 1, tmp_path / "out")
    (model / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json: expected the settings of a model"):
        sample_to_folder(tmp_path, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()
