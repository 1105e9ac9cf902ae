"""Evaluation of a finished run on labelled images, in folders and in arrays."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.cli import main
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.inference.evaluate import Evaluation, evaluate
from convergan.inference.predict import Predictions, predict
from convergan.recipes.presets import PRESETS
from convergan.statistics.intervals import wilson


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(place / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first 80 test digits and their classes."""
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    return data.test.images[:80], data.test.labels[:80]


def test_a_folder_and_an_array_give_the_errors_of_the_predictions(
    trained_run: Path, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = digits
    expected = predict(trained_run, images).labels
    wrong = int((expected != labels).sum())
    assert 0 < wrong < 80
    by_array = evaluate(trained_run, images, labels)
    by_name = evaluate(trained_run, images, [str(label) for label in labels])
    by_folder = evaluate(trained_run, write(tmp_path / "images", images, labels))
    for evaluation in (by_array, by_name, by_folder):
        assert (evaluation.errors, len(evaluation)) == (wrong, 80)
        assert evaluation.interval == wilson(wrong, 80)
        assert evaluation.confusion.sum() == 80 and np.trace(evaluation.confusion) == 80 - wrong
        for true, predicted in zip(labels[:5], expected[:5], strict=True):
            assert evaluation.confusion[true, predicted] > 0
    assert (by_array.confusion == by_folder.confusion).all()
    numbers = {Path(name).stem: place for place, name in enumerate(by_folder.predictions.names)}
    order = [numbers[f"{number:03d}"] for number in range(80)]
    assert (by_folder.truth[order] == labels).all()
    assert (by_folder.wrong[order] == by_array.wrong).all()


def test_classes_are_matched_by_name_and_some_may_be_absent(
    trained_run: Path, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = digits
    mask = labels >= 7
    evaluation = evaluate(trained_run, write(tmp_path, images[mask], labels[mask]))
    assert sorted(set(evaluation.truth.tolist())) == [7, 8, 9]
    assert evaluation.errors == evaluate(trained_run, images[mask], labels[mask]).errors


def test_test_images_come_before_others_and_unlabelled_ones_are_left_out(
    trained_run: Path, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = digits
    write(tmp_path, images[:40], labels[:40])
    write(tmp_path / "unlabelled", images[40:45], np.full(5, "some"))
    labelled = evaluate(trained_run, tmp_path)
    assert len(labelled) == 40 and "5 images without a label are left out" in labelled.notes
    write(tmp_path / "test", images[60:], labels[60:])
    tested = evaluate(trained_run, tmp_path)
    assert len(tested) == 20 and "evaluated on the test images" in tested.notes[-1]


def test_the_command_prints_and_writes_the_numbers(
    trained_run: Path,
    digits: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write(tmp_path / "images", *digits)
    (folder / "3" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    words = ["evaluate", str(trained_run), str(folder), "--json", str(tmp_path / "errors.json")]
    assert main(words) == 1
    assert "damaged.png" in capsys.readouterr().err and not (tmp_path / "errors.json").exists()
    assert main([*words, "--skip-unreadable"]) == 0
    content = json.loads((tmp_path / "errors.json").read_text())
    evaluation = evaluate(trained_run, *digits)
    assert content["errors"] == evaluation.errors and content["size"] == 80
    assert content["confusion"] == evaluation.confusion.tolist()
    assert [entry["errors"] for entry in content["classes"]] == [
        int(row.sum() - row[number]) for number, row in enumerate(evaluation.confusion)
    ]
    assert [entry["name"].endswith("damaged.png") for entry in content["unreadable"]] == [True]
    printed = capsys.readouterr()
    assert f"all classes  {evaluation.errors} " in printed.out
    assert "misclassified most often" in printed.out and "damaged.png" in printed.err
    # A second call replaces nothing; with `-` the standard output holds the JSON alone.
    assert main([*words, "--skip-unreadable"]) == 1
    capsys.readouterr()
    assert main([*words[:-1], "-", "--skip-unreadable"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"] == evaluation.errors


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (None, "labels: expected a class for each image of an array, got none"),
        ([0], r"labels: expected 2 class names or indices.*got int64 \[1\]"),
        ([0, 10], "labels: expected indices 0 to 9, got 0 to 10"),
        (["0", "zero"], r"labels: expected classes of the run \(0, 1, 2, 3, 4, ...\), got 'zero'"),
        ([0.0, 1.0], "labels: expected 2 class names or indices.*got float64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    trained_run: Path, labels: list[int] | None, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        evaluate(trained_run, np.zeros((2, 8, 8), dtype=np.uint8), labels)


def test_folders_that_do_not_fit_are_refused(
    trained_run: Path, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images = digits[0]
    with pytest.raises(UserError, match="labels: expected None for a folder"):
        evaluate(trained_run, tmp_path, [1])
    with pytest.raises(UserError, match="images: expected a folder with a folder of each class"):
        evaluate(trained_run, tmp_path / "absent")
    write(tmp_path / "cats", images[:2], np.array(["cat", "dog"]))
    with pytest.raises(UserError, match=r"expected classes of the run \(0, .*got 'cat'"):
        evaluate(trained_run, tmp_path / "cats")
    (tmp_path / "plain").mkdir()
    Image.fromarray(images[0][:, :, 0]).save(tmp_path / "plain" / "0.png")
    with pytest.raises(UserError, match="expected labelled images"):
        evaluate(trained_run, tmp_path / "plain")


def test_the_interval_of_no_errors_begins_at_zero() -> None:
    labels = np.array([0, 1, 1])
    probabilities = np.eye(2, dtype=np.float32)[labels]
    predictions = Predictions(("a", "b"), ["1", "2", "3"], labels, probabilities)
    evaluation = Evaluation(predictions, labels)
    assert evaluation.errors == 0 and evaluation.interval == wilson(0, 3)
