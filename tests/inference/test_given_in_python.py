"""Arguments from Python in place of files: paths as text, arrays, tensors, loaded classifiers."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from convergan import (
    DataSettings,
    InceptionScore,
    Results,
    ScoreSettings,
    UserError,
    load_classifier,
    load_generator,
    predict,
    sample,
    score,
    train,
)
from convergan.cli import main
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.settings import Recipe
from drawn_images import write_folder

QUICK = ScoreSettings()


@pytest.fixture(scope="module")
def resized_run(
    quick_recipe: Recipe, quiet: Console, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run in colour, on images that were scaled to 8 px."""
    folder = tmp_path_factory.mktemp("resized")
    write_folder(folder / "images", labelled=4, test=2, size_px=20)
    data = DataSettings(path=folder / "images", size_px=8, channels=3, cache=folder / "cache")
    recipe = replace(quick_recipe, epochs=1, labels=None, data=data)
    # As text.
    train(recipe, str(folder / "run"), console=quiet)
    return folder / "run"


def write_images(images: np.ndarray, folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
    return folder


def test_arrays_are_given_the_same_probabilities_as_files_to_the_last_bit(
    trained_run: Path, digits: np.ndarray, tmp_path: Path
) -> None:
    # More than one batch.
    images = np.concatenate([digits] * 6)[:600]
    expected = predict(str(trained_run), str(write_images(images, tmp_path / "images")))
    images.flags.writeable = False
    tensor = torch.from_numpy(images.copy())
    for batch in (images, images[..., 0], tensor, tensor.permute(0, 3, 1, 2), images[..., [0] * 3]):
        predictions = predict(trained_run, batch)
        np.testing.assert_array_equal(predictions.probabilities, expected.probabilities)
        np.testing.assert_array_equal(predictions.labels, expected.labels)
    assert predictions.names[17] == "row 17" and expected.names[17].endswith("0017.png")
    assert predictions.classes == tuple(map(str, range(10))) and len(predictions) == 600
    np.testing.assert_array_equal(predictions.confidences, predictions.probabilities.max(axis=1))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 20, 3), (31, 17, 3), (9, 40, 1), (8, 8, 3)], ids=str)
def test_arrays_of_another_size_are_resized_as_files_are(
    resized_run: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    expected = predict(resized_run, write_images(images, tmp_path / "images"))
    np.testing.assert_array_equal(
        predict(resized_run, images).probabilities, expected.probabilities
    )


def test_files_may_be_several_and_of_any_kind_of_path(
    trained_run: Path, digits: np.ndarray, tmp_path: Path
) -> None:
    folder = write_images(digits[:4], tmp_path / "images")
    (folder / "0002.png").write_bytes(b"no image")
    files = (str(folder / "0003.png"), folder / "0001.png")
    first, second = (list(predict(trained_run, source).names) for source in (files, iter(files)))
    assert first == second == list(map(str, files))
    with pytest.raises(UserError, match=r"0002\.png: expected a readable image"):
        predict(trained_run, folder)
    predictions = predict(trained_run, folder, skip_unreadable=True)
    assert len(predictions) == len(predictions.names) == 3
    assert [os.path.basename(image.name) for image in predictions.skipped] == ["0002.png"]


def test_a_classifier_is_loaded_once(trained_run: Path, digits: np.ndarray) -> None:
    classifier = load_classifier(str(trained_run))
    assert not classifier.training and classifier.image_shape == (1, 8, 8)
    assert classifier.pixel_range == (0, 1) and not classifier.resized
    actual = predict(classifier, digits)
    expected = predict(trained_run, digits)
    np.testing.assert_array_equal(actual.probabilities, expected.probabilities)
    output = classifier(torch.from_numpy(digits).permute(0, 3, 1, 2))
    assert output.logits.argmax(dim=1).tolist() == actual.labels.tolist()
    for task in (lambda: predict(classifier, digits), lambda: score(digits, classifier=classifier)):
        classifier.network.train()
        with pytest.raises(UserError, match=r"^\w+: expected a module in evaluation mode"):
            task()
        classifier.eval()
    for wrong, message in (
        (torch.rand(2, 1, 8, 8), r"images: expected uint8 .* got float32 \[2, 1, 8, 8\]"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), "images: expected uint8 .* got uint8"),
        (torch.zeros(1, 1, 8, 9, dtype=torch.uint8), "expected 8x8 pixels .* got 9x8"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "images: expected channels: 1, got 3"),
    ):
        with pytest.raises(UserError, match=message):
            classifier(wrong)


def test_what_is_no_image_is_refused_in_one_line(trained_run: Path, tmp_path: Path) -> None:
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    for source, message in (
        (images.astype(float), "^images: expected uint8, 0 to 255, got float64$"),
        (np.zeros((3, 9, 8), dtype=np.uint8), "^images: expected 8x8 pixels .* got 8x9$"),
        (images[0], r"^images: expected images \[n, height, width, channels\] .* got \[8, 8\]$"),
        (images[:0], r"^images: expected images .* got \[0, 8, 8, 1\]$"),
        ([], "^images: expected an image or a folder of images, got nothing$"),
        (None, "^images: expected a path, got None$"),
        (7, "^images: expected a path, got 7$"),
        ([tmp_path, b"x"], "^images: expected a path, got b'x'$"),
        ("", "^images: expected a path, got ''$"),
        ("a\0b", "^images: expected a path, got "),
        (tmp_path, "expected images .* got a folder with none"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            predict(trained_run, source)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "task",
    [load_classifier, load_generator, lambda run: sample(run, 1), lambda run: predict(run, "x")],
)
def test_what_is_no_run_is_refused_in_one_line(task: Any, tmp_path: Path) -> None:
    for run, message in (
        (3, "^run: expected a path, got 3$"),
        (None, "^run: expected a path, got None$"),
        (str(tmp_path), "expected a run folder, got a folder without recipe.yaml"),
    ):
        with pytest.raises(UserError, match=message):
            task(run)


def test_samples_are_the_same_as_an_array_and_as_files(trained_run: Path, tmp_path: Path) -> None:
    images = sample(str(trained_run), 300, seed=1)
    assert images.shape == (300, 8, 8, 1) and images.dtype == np.uint8
    first_three = sample(trained_run, np.int64(3), seed=1, out=str(tmp_path / "samples"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first_three, images[:3])
    files = sorted((tmp_path / "samples").iterdir())
    np.testing.assert_array_equal(
        [np.asarray(Image.open(file)) for file in files], first_three[..., 0]
    )
    assert (tmp_path / "samples-grid.png").exists()
    generator = load_generator(trained_run)
    assert not generator.training and len(generator(generator.latent(2, "cpu"))) == 2


def test_the_best_samples_are_those_of_the_command(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(trained_run), "--count", "5", "--out", str(tmp_path / "best")]
    assert main([*words, "--best", ".1", "--classifier", str(trained_run)]) == 0
    capsys.readouterr()
    files = sorted((tmp_path / "best").iterdir())
    expected = [np.asarray(Image.open(file)) for file in files]
    for judge in (str(trained_run), load_classifier(trained_run)):
        best = sample(trained_run, 5, best=0.1, classifier=judge)
        np.testing.assert_array_equal(best[..., 0], expected)
    # Nothing is printed unless asked for.
    assert capsys.readouterr() == ("", "")


def test_samples_that_cannot_be_drawn_are_refused(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for options, message in (
        ({"count": 0}, "^count: expected 1 or more, got 0$"),
        ({"count": 2.5}, "^count: expected a whole number"),
        ({"seed": -1}, "^seed: expected 0 to .* got -1$"),
        ({"best": 2.0, "classifier": trained_run}, r"^best: expected 0\.0001 to 1, got 2"),
        ({"classifier": trained_run}, "^classifier: expected --best with it"),
        ({"out": tmp_path / "full"}, "^out: expected a new or empty folder"),
        ({"out": 5}, "^out: expected a path, got 5$"),
    ):
        with pytest.raises(UserError, match=message):
            sample(trained_run, **{"count": 3, **options})  # type: ignore[arg-type]


def without_place(content: Any) -> Any:
    """Content without the places of images and the checksums of networks' weights."""
    if isinstance(content, dict):
        left_out = ("place", "weights_sha256")
        return {name: without_place(part) for name, part in content.items() if name not in left_out}
    return [without_place(part) for part in content] if isinstance(content, list) else content


@pytest.mark.filterwarnings("ignore:FID of", "ignore:FID beside")
def test_scores_are_those_of_the_command(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, options = tmp_path / "scores.json", ("reference", "versus", "training")
    sets = dict(zip(options, ("others", "permuted", "more"), strict=True))
    words = ["score", str(arrays["some"]), "--classifier", str(trained_run)]
    for name, array in sets.items():
        words += [f"--{name}", str(arrays[array])]
    assert main([*words, "--json", str(file)]) == 0
    expected = json.loads(file.read_text())
    capsys.readouterr()
    paths = {name: str(arrays[array]) for name, array in sets.items()}
    by_path = score(str(arrays["some"]), classifier=str(trained_run), settings=QUICK, **paths)
    assert json.loads(json.dumps(by_path.as_dict())) == expected
    loaded = {name: np.load(arrays[array]) for name, array in sets.items()}
    by_array = score(
        torch.from_numpy(np.load(arrays["some"])).permute(0, 3, 1, 2),
        classifier=load_classifier(trained_run),
        settings=QUICK,
        **loaded,
    )
    content = json.loads(json.dumps(by_array.as_dict()))
    assert without_place(content) == without_place(expected)
    assert content["reference"]["place"] == "reference"
    assert capsys.readouterr() == ("", "")
    assert list(by_array.numbers)[:3] == ["Inception score", "FID", "KID"]
    assert by_array.comparisons["FID"].first == by_array.numbers["FID"]
    assert by_array.authenticity == expected["authenticity"]


class Judge(nn.Module):
    """A classifier of images of any size and any number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 4)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        features = images.flatten(1).float().mean(dim=1, keepdim=True) / 255
        return DiscriminatorOutput(logits=self.head(features), features=features)


def test_any_module_looks_at_images_as_they_are(digits: np.ndarray) -> None:
    judge = Judge().eval()
    metric = InceptionScore(judge, count=len(digits))
    metric.update(torch.from_numpy(digits).permute(0, 3, 1, 2))
    scores = score(digits, metrics=("is",), classifier=judge, settings=QUICK)
    value = scores.numbers["Inception score"].value
    assert value == pytest.approx(float(metric.compute().mean), abs=1e-9)
    floats = score(
        digits / 255,
        classifier=judge,
        settings=ScoreSettings(pixel_range=(0, 1)),
    )
    assert floats.numbers["Inception score"].value == value
    fingerprint = scores.fingerprints["is"]
    assert fingerprint["network"] == "module Judge"
    nn.init.zeros_(judge.head.weight)
    changed = score(digits, classifier=judge, settings=QUICK)
    assert changed.fingerprints["is"]["weights_sha256"] != fingerprint["weights_sha256"]
    with pytest.raises(
        UserError, match=r"^classifier: expected a module in evaluation mode, got Judge"
    ):
        score(digits, classifier=judge.train())


def test_sets_that_cannot_be_scored_are_refused(trained_run: Path, digits: np.ndarray) -> None:
    for options, message in (
        ({"reference": 3}, "^reference: expected a path, got 3$"),
        ({"versus": None, "metrics": ("fid",)}, "^metrics: expected --reference with fid"),
        ({"metrics": ("xyz",)}, "^metrics: expected "),
        ({"training": digits / 255}, "^training: expected --pixel-range with floats"),
        ({"classifier": trained_run, "weights": "x"}, "^weights: expected None with .* got 'x'"),
        ({"classifier": 3}, "^classifier: expected a path, got 3$"),
    ):
        with pytest.raises(UserError, match=message):
            score(digits, **{"classifier": trained_run, **options})  # type: ignore[arg-type]


def test_training_takes_the_name_of_a_preset_and_a_path_as_text(
    quick_digits: None, quiet: Console, tmp_path: Path
) -> None:
    results = train("digits", f"{tmp_path}/run", console=quiet)
    assert isinstance(results, Results)
    assert results.recipe == "digits" and results.epochs == 1
    assert (tmp_path / "run" / "report.html").exists()
    for options, message in (
        (
            {"recipe": "minst"},
            "^recipe: expected a Recipe or one of digits, .* got 'minst'$",
        ),
        ({"recipe": None}, "^recipe: expected a Recipe or one of"),
        ({"out": 3}, "^out: expected a path, got 3$"),
        (
            {"data": np.zeros((2, 8, 8))},
            "^data: expected a data set from data_set_from_arrays, got ndarray$",
        ),
    ):
        with pytest.raises(UserError, match=message):
            train(**{"recipe": "digits", "out": tmp_path / "other", **options})  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()
