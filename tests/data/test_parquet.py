import json
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convergan.data.image_set import UNLABELLED
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def png(tmp_path, write_image):
    def encoded(seed: int) -> bytes:
        write_image(tmp_path / "one.png", seed=seed)
        return (tmp_path / "one.png").read_bytes()

    return encoded


@pytest.fixture
def write(png):
    """Write plain parquet: a struct of bytes and path as the hub has them, and columns as given."""

    def write_file(
        file: Path, rows: int, first_seed: int = 0, column: str = "image", **columns
    ) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        images = [{"bytes": png(first_seed + row), "path": None} for row in range(rows)]
        pq.write_table(pa.table({column: images, **columns}), file, row_group_size=2)

    return write_file


def write_paths(file: Path, paths: list[str]) -> None:
    pq.write_table(pa.table({"image": [{"bytes": None, "path": path} for path in paths]}), file)


def opened(path: Path, source: str = "folder", **settings):
    return open_data_set(DataSettings(source=source, path=path, **settings))


def test_files_as_the_hub_writes_them(folder, png, tmp_path, write_image):
    features = datasets.Features(
        {
            "other": datasets.Value("int64"),
            "pic": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
        }
    )
    for split, labels in {"train": [1, -1, 0, 1, 1], "test": [0, 1]}.items():
        rows = {
            "other": [7] * len(labels),
            "pic": [{"bytes": png(row), "path": None} for row in range(len(labels))],
            "label": labels,
        }
        (folder / "data").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
    data = opened(folder, source="some/hub-id")
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [1, UNLABELLED, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert data.train.names[3] == "data/train-00000-of-00001.parquet row 3"
    for row in range(5):
        assert np.array_equal(data.train.images[row], write_image(tmp_path / "one.png", seed=row))


def test_several_files_are_one_set_and_distinct_labels_are_the_classes(folder, write):
    write(folder / "train-0.parquet", 3, column="img", label=["b", None, "a"])
    write(folder / "train-1.parquet", 2, first_seed=3, column="img", label=["c", ""])
    data = opened(folder)
    assert data.classes == ("a", "b", "c")
    assert data.train.labels.tolist() == [1, -1, 0, 2, -1]
    assert list(data.train.names[2:4]) == ["train-0.parquet row 2", "train-1.parquet row 0"]
    assert data.test is None


@pytest.fixture
def write_named(png):
    """Write parquet as the hub's library does: labels are numbers of the names given."""

    def write_file(file: Path, names: list[str], labels: list[int]) -> None:
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
        rows = {"image": [{"bytes": png(row), "path": None} for row in range(len(labels))]}
        rows["label"] = labels
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(file)

    return write_file


def test_class_names_in_another_order_count_by_name(folder, write_named):
    write_named(folder / "train-0.parquet", ["cat", "dog"], [0, 1])
    write_named(folder / "train-1.parquet", ["dog", "cat"], [0, 1, -1])
    write_named(folder / "test.parquet", ["dog", "cat"], [0, 1, 1])
    data = opened(folder)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 1, 0, UNLABELLED]
    assert data.test.labels.tolist() == [1, 0, 0]


def test_training_files_may_name_some_of_the_classes_each(folder, write_named):
    write_named(folder / "train-0.parquet", ["dog", "cat"], [0, 1])
    write_named(folder / "train-1.parquet", ["cat", "bird"], [0, 1])
    write_named(folder / "test.parquet", ["bird"], [0])
    data = opened(folder)
    assert data.classes == ("dog", "cat", "bird")
    assert data.train.labels.tolist() == [0, 1, 1, 2] and data.test.labels.tolist() == [2]


@pytest.mark.parametrize("named_split", ["train", "test"])
def test_text_beside_class_names_counts_by_name(folder, write, write_named, named_split):
    text = {"train": "test", "test": "train"}[named_split]
    write_named(folder / f"{named_split}.parquet", ["dog", "cat"], [1, 0])
    write(folder / f"{text}.parquet", 3, label=["cat", "cat", "dog"])
    data = opened(folder)
    assert data.classes == (("dog", "cat") if named_split == "train" else ("cat", "dog"))
    names = {
        split: [data.classes[number] for number in part.labels]
        for split, part in (("train", data.train), ("test", data.test))
    }
    assert names == {named_split: ["cat", "dog"], text: ["cat", "cat", "dog"]}


@pytest.mark.parametrize("named_split", ["train", "test"])
def test_bare_numbers_beside_names_that_are_numbers_are_these(
    folder, write, write_named, named_split
):
    numbers = {"train": "test", "test": "train"}[named_split]
    write_named(folder / f"{named_split}.parquet", ["10", "2"], [0, 1])
    write(folder / f"{numbers}.parquet", 3, label=[2, 10, 10])
    data = opened(folder)
    # As the names are listed, or, of bare numbers, in their order.
    assert data.classes == (("10", "2") if named_split == "train" else ("2", "10"))
    parts = {"train": data.train, "test": data.test}
    assert [data.classes[number] for number in parts[named_split].labels] == ["10", "2"]
    assert [data.classes[number] for number in parts[numbers].labels] == ["2", "10", "10"]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            (["cat", "dog"], [0, 1]),
            (["cat", "dog", "bird"], [0, 1]),
            r"test\.parquet: expected the names of classes in .*train\.parquet \(cat, dog\), got 'bird'",
        ),
        (
            (["cat", "dog"], [0, 1]),
            [1, 0],
            r"test\.parquet: expected names of classes .*train\.parquet has them \(cat, dog\), got none",
        ),
        (
            [1, 0],
            (["cat", "dog"], [0, 1]),
            r"train\.parquet: expected names of classes .*test\.parquet has them \(cat, dog\), got",
        ),
        (
            [0, 1],
            ["0", "1"],
            r"train\.parquet: expected labels as text as in .*test\.parquet, got integers",
        ),
        (
            ["a", "b"],
            [0, 1],
            r"test\.parquet: expected labels as text as in .*train\.parquet, got integers",
        ),
    ],
)
def test_labels_that_do_not_agree_are_refused_with_both_files(
    folder, write, write_named, first, second, message
):
    for name, labels in (("train", first), ("test", second)):
        if isinstance(labels, tuple):
            write_named(folder / f"{name}.parquet", *labels)
        else:
            write(folder / f"{name}.parquet", 2, label=labels)
    with pytest.raises(UserError, match=message):
        opened(folder)


def test_two_training_files_with_other_kinds_of_labels_are_refused(folder, write):
    write(folder / "train-0.parquet", 2, label=[0, 1])
    write(folder / "train-1.parquet", 2, label=["0", "1"])
    with pytest.raises(
        UserError, match=r"train-0\.parquet: .* as in .*train-1\.parquet, got integers"
    ):
        opened(folder)


def test_unlabelled_files_agree_with_any(folder, write, write_named):
    write_named(folder / "train-0.parquet", ["cat", "dog"], [0, 1])
    write(folder / "train-1.parquet", 2, label=[-1, -1])
    write(folder / "train-2.parquet", 1)
    write(folder / "train-3.parquet", 2, label=["", None])
    assert opened(folder).train.labels.tolist() == [0, 1, -1, -1, -1, -1, -1]


def test_a_number_without_a_name_is_named(folder, write_named, write, png):
    declared = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}}}
    cells = [{"bytes": png(0), "path": None}] * 2
    table = pa.table({"image": cells, "label": [1, 2]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(declared)})
    pq.write_table(table, folder / "train.parquet")
    with pytest.raises(
        UserError, match=r"train\.parquet row 1: expected a label below 2, .* got 2"
    ):
        opened(folder)


def with_metadata(file: Path, metadata: bytes) -> None:
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": metadata}), file)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"{", r"expected JSON in the metadata of Hugging Face's library, got "),
        (b"\xff", r"expected JSON in the metadata of Hugging Face's library, got "),
        (b"[1]", r"expected JSON in the metadata of .*, got list as top"),
        (b'{"info": 3}', r"expected JSON in the metadata of .*, got int as info"),
        (
            b'{"info": {"features": []}}',
            r"expected JSON in the metadata of .*, got list as features",
        ),
        (b"[" * 100_000, r"expected JSON in the metadata of .*, got maximum recursion depth"),
        ({"names": "ab"}, r"expected distinct names of classes .* column label, got str$"),
        ({"names": ["a", 1]}, r"expected distinct names of classes .*, got int among them"),
        ({"names": ["a", "b", "a"]}, r"expected distinct names of classes .*, got 'a' 2 times"),
    ],
)
def test_damaged_metadata_is_one_line(folder, write, metadata, message):
    write(folder / "train.parquet", 2, label=[0, 1])
    if isinstance(metadata, dict):
        metadata = json.dumps({"info": {"features": {"label": metadata}}}).encode()
    with_metadata(folder / "train.parquet", metadata)
    with pytest.raises(UserError, match=r"train\.parquet: " + message) as caught:
        opened(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("metadata", [b"{}", b'{"info": null}', b'{"info": {"features": null}}'])
def test_metadata_without_features_says_nothing(folder, write, metadata):
    write(folder / "train.parquet", 2, label=[0, 1])
    with_metadata(folder / "train.parquet", metadata)
    assert opened(folder).classes == ("0", "1")


def test_labels_that_are_no_utf8_are_one_line(folder, png):
    cells = [{"bytes": png(0), "path": None}]
    labels = pa.array([b"\xff\xfe"]).view(pa.string())
    pq.write_table(pa.table({"image": cells, "label": labels}), folder / "train.parquet")
    with pytest.raises(
        UserError, match=r"train\.parquet: expected a parquet file, got 'utf-8' codec"
    ):
        opened(folder)


def test_a_broken_page_is_one_line(folder, write):
    write(folder / "train.parquet", 40, label=list(range(40)))
    content = bytearray((folder / "train.parquet").read_bytes())
    content[4:2000] = bytes(1996)
    (folder / "train.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.parquet: expected a parquet file, got ") as caught:
        opened(folder)
    assert str(caught.value).isprintable()


def test_checksums_of_pages_are_checked(folder, write):
    write(folder / "train.parquet", 4, label=[1000, 2000, 3000, 4000])
    table = pq.read_table(folder / "train.parquet")
    options = {"use_dictionary": False, "compression": "none", "write_page_checksum": True}
    pq.write_table(table, folder / "train.parquet", **options)
    content = (folder / "train.parquet").read_bytes()
    # A label among those of the page, before the statistics that repeat the least and the largest.
    original, changed = ((number).to_bytes(8, "little") for number in (2000, 2001))
    assert content.count(original) == 1
    (folder / "train.parquet").write_bytes(content.replace(original, changed))
    with pytest.raises(UserError, match=r"train\.parquet: expected a parquet file, got .*checksum"):
        opened(folder)


def test_a_pipe_is_not_waited_for(folder, write):
    write(folder / "train-0.parquet", 2)
    os.mkfifo(folder / "train-1.parquet")
    with pytest.raises(
        UserError, match=r"train-1\.parquet: expected .*, got a named pipe, which is not a"
    ):
        opened(folder)


def test_a_folder_named_as_a_parquet_file_holds_its_parts(folder, write):
    write(folder / "train.parquet" / "part-0.parquet", 2, label=[0, 1])
    assert list(opened(folder).train.names) == [
        f"train.parquet/part-0.parquet row {row}" for row in (0, 1)
    ]


def test_numbers_without_names_are_classes_in_their_order(folder, write):
    write(folder / "any.parquet", 4, label=[10, 2, -1, 10])
    data = opened(folder)
    assert data.classes == ("2", "10")
    assert data.train.labels.tolist() == [1, 0, UNLABELLED, 1]


def test_without_a_label_column_all_is_unlabelled(folder, write):
    write(folder / "train.parquet", 2)
    data = opened(folder)
    assert data.classes == () and data.train.labels.tolist() == [-1, -1]


@pytest.mark.parametrize("test_labels", [None, [-1, -1, -1]])
def test_validation_is_the_test_where_test_has_no_labels(folder, write, test_labels):
    write(folder / "train-0.parquet", 2, label=[0, 1])
    write(folder / "validation-0.parquet", 2, label=[1, 1])
    if test_labels is not None:
        write(folder / "test-0.parquet", 3, label=test_labels)
    assert list(opened(folder).test.names) == [f"validation-0.parquet row {row}" for row in (0, 1)]


def test_test_goes_before_validation(folder, write):
    for split in ("train", "validation", "test"):
        write(folder / f"{split}-0.parquet", 2, label=[0, 1])
    assert opened(folder).test.names[0] == "test-0.parquet row 0"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/0000", "test/0000"),
        ("default/train/0000", "default/test/0000"),
        ("partial-train/0000", "partial-test/0000"),
        ("Training/0000", "VAL/0000"),
        ("mnist_train", "mnist_test"),
        ("plain/train-0", "plain/validation-0"),
        ("test/train-0", "test/test-0"),  # the file's own name goes first
    ],
)
def test_a_split_is_told_by_the_file_or_its_folder(folder, write, train, test):
    write(folder / f"{train}.parquet", 3, label=[0, 1, 1])
    write(folder / f"{test}.parquet", 2, first_seed=3, label=[1, 0])
    data = opened(folder)
    assert list(data.train.names) == [f"{train}.parquet row {row}" for row in range(3)]
    assert list(data.test.names) == [f"{test}.parquet row {row}" for row in range(2)]


def test_folders_above_the_given_one_tell_nothing(folder, write):
    write(folder / "test" / "0000.parquet", 2, label=[0, 1])
    assert len(opened(folder / "test").train) == 2


@pytest.mark.parametrize("name", ["0001", "latest/0000", "train-test/0000"])
def test_a_file_of_an_unknown_split_beside_a_known_one_is_named(folder, write, name):
    write(folder / "test" / "0000.parquet", 2, label=[0, 1])
    write(folder / f"{name}.parquet", 2, label=[0, 1])
    expected = (
        rf"images/{name}\.parquet: expected train, test or val in the name of the file or its"
        r" folder, as in test/0000\.parquet, got none"
    )
    with pytest.raises(UserError, match=expected):
        opened(folder)


def test_the_extra_images_of_svhn_are_not_used(folder, write):
    for split in ("train", "test", "extra"):
        write(folder / f"{split}-00000-of-00001.parquet", 2, label=[0, 1])
    data = opened(folder, source="svhn")
    assert len(data.train) == len(data.test) == 2


def test_svhn_has_a_folder_for_its_configuration(folder, write):
    write(folder / "cropped_digits" / "train-0.parquet", 2, label=[0, 1])
    write(folder / "full_numbers" / "train-0.parquet", 2, label=[0, 1])
    assert len(opened(folder, source="svhn").train) == 2


def test_plain_bytes_are_images_too(folder, png):
    pq.write_table(pa.table({"image": [png(0), png(1)]}), folder / "train.parquet")
    assert len(opened(folder).train) == 2


def test_paths_are_of_files_beside_the_parquet_file(folder, write_image):
    images = [write_image(folder / "data" / "images" / f"{seed}.png", seed=seed) for seed in (0, 1)]
    paths = ["images/0.png", str(folder / "data" / "images" / "1.png")]
    write_paths(folder / "data" / "train.parquet", paths)
    assert np.array_equal(opened(folder).train.images, images)


@pytest.mark.parametrize("path", ["../secret.png", "images/../../secret.png", "absolute"])
def test_paths_that_lead_elsewhere_are_unreadable(folder, write_image, path):
    write_image(folder / "data" / "1.png")
    write_image(folder / "secret.png")
    if path == "absolute":
        path = str(folder / "secret.png")
    write_paths(folder / "data" / "train.parquet", ["1.png", path])
    expected = (
        rf"train\.parquet row 1: expected a readable image, got the path '{path}', which leads"
    )
    with pytest.raises(UserError, match=expected):
        opened(folder)
    assert len(opened(folder, skip_unreadable=True).train) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"column": "picture"},
            r"train\.parquet: expected a column named image or img, got picture",
        ),
        ({"label": [0.5, 1.0]}, r"train\.parquet: expected integers or text .* label, got float"),
    ],
)
def test_wrong_columns_are_named(folder, write, columns, message):
    write(folder / "train.parquet", 2, **columns)
    with pytest.raises(UserError, match=message):
        opened(folder)


def test_several_columns_of_classes_are_too_many(folder, png):
    classes = datasets.ClassLabel(names=["a"])
    features = datasets.Features({"image": datasets.Image(), "fine": classes, "coarse": classes})
    rows = {"image": [{"bytes": png(0), "path": None}], "fine": [0], "coarse": [0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "train.parquet")
    with pytest.raises(UserError, match=r"expected one column of labels, .*, got fine, coarse"):
        opened(folder)


def test_labels_outside_the_classes_are_named(folder, write):
    write(folder / "train.parquet", 2, label=["a", "b"])
    write(folder / "test.parquet", 2, label=["b", "z"])
    with pytest.raises(UserError, match=r"test\.parquet row 1: expected a label among .*, got 'z'"):
        opened(folder)


def test_a_test_image_without_a_label_is_named(folder, write):
    write(folder / "train.parquet", 2, label=[0, 1])
    write(folder / "test.parquet", 2, label=[1, None])
    with pytest.raises(UserError, match=r"test\.parquet row 1: expected a label, .*, got none"):
        opened(folder)


def test_a_bad_row_is_named(folder, png):
    images = [{"bytes": png(0), "path": None}, {"bytes": png(1)[:50], "path": None}]
    pq.write_table(pa.table({"image": images}), folder / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet row 1: expected a readable image"):
        opened(folder)


def test_a_broken_file_and_a_folder_without_training_files_are_named(folder, write):
    write(folder / "test-0.parquet", 2)
    with pytest.raises(
        UserError, match=r"expected parquet files named train-\*\.parquet, or in .*, got none"
    ):
        opened(folder)
    (folder / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"train\.parquet: expected a parquet file, got ") as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
