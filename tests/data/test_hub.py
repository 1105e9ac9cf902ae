"""The hub itself is out of the tests' reach: the library's own data sets, written here, stand for it."""

import datasets
import pytest

from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def hub(tmp_path, monkeypatch, write_image):
    """A hub of one data set; collects what it was asked for."""
    asked = []
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    splits = {}
    for split, labels in {"train": [0, 1, 1], "test": [-1, -1], "validation": [1, 0]}.items():
        for row in range(len(labels)):
            write_image(tmp_path / f"{split}{row}.png", seed=row)
        files = [str(tmp_path / f"{split}{row}.png") for row in range(len(labels))]
        rows = datasets.Dataset.from_dict({"img": files, "label": labels}, features=features)
        splits[split] = rows
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "hub")

    def load(name, configuration):
        asked.append((name, configuration))
        return datasets.load_from_disk(tmp_path / "hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("mnist", ("ylecun/mnist", None)),
        ("cifar10", ("uoft-cs/cifar10", None)),
        ("svhn", ("ufldl-stanford/svhn", "cropped_digits")),
        ("imagenet", ("ILSVRC/imagenet-1k", None)),
        ("some/one", ("some/one", None)),
    ],
)
def test_short_names_stand_for_ids(hub, source, asked):
    data = open_data_set(DataSettings(source=source))
    assert hub == [asked]
    assert data.source == asked[0]


def test_a_data_set_is_decoded_once_and_its_labelled_split_is_the_test(
    hub, tmp_path, write_image, monkeypatch
):
    data = open_data_set(DataSettings(source="some/one"))
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 1]
    assert list(data.test.names) == ["validation row 0", "validation row 1"]
    for row, image in enumerate(data.train.images):
        assert (image == write_image(tmp_path / "x.png", seed=row)).all()
    monkeypatch.setattr("convergan.data.store_writer.decode_in_order", None)
    again = open_data_set(DataSettings(source="some/one"))
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize("error", [ConnectionError("no\nroute"), ValueError(""), OSError(5, "x")])
def test_a_failed_download_is_one_line_with_the_way_out(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UserError, match=r"cannot load 'ylecun/mnist' .*--data\.path") as caught:
        open_data_set(DataSettings(source="mnist"))
    assert "\n" not in str(caught.value)


def test_a_data_set_without_a_training_split_is_named(hub, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: datasets.DatasetDict({"test": None}))
    with pytest.raises(UserError, match="'a/b' to have a split named train, got test"):
        open_data_set(DataSettings(source="a/b"))


def test_class_names_in_another_order_count_by_name(tmp_path, monkeypatch, write_image):
    def split(names, labels):
        for row in range(len(labels)):
            write_image(tmp_path / f"{row}.png", seed=row)
        files = [str(tmp_path / f"{row}.png") for row in range(len(labels))]
        features = datasets.Features(
            {"img": datasets.Image(), "label": datasets.ClassLabel(names=names)}
        )
        return datasets.Dataset.from_dict({"img": files, "label": labels}, features=features)

    splits = {"train": split(["one", "zero"], [0, 1]), "test": split(["zero", "one"], [0, 1])}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: datasets.DatasetDict(splits))
    data = open_data_set(DataSettings(source="a/b"))
    assert data.classes == ("one", "zero")
    assert data.test.labels.tolist() == [1, 0]
    splits["test"] = split(["zero", "two"], [0, 0])
    with pytest.raises(
        UserError, match=r"a/b/test: expected .* in a/b/train \(one, zero\), got 'two'"
    ):
        open_data_set(DataSettings(source="a/b"))
