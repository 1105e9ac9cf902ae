"""Folders as people lay them out: understood, with what is said of them, or refused in one line."""

from collections import Counter

import numpy as np
import pytest

from convergan.data.image_set import UNLABELLED
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


def understood(data) -> str:
    """Classes and counts in a line: `cats 1, dogs 2; 1 unlabelled; test cats 1`."""

    def counts(part) -> str:
        totals = Counter(part.labels.tolist())
        return ", ".join(
            f"{name} {totals[row]}" for row, name in enumerate(data.classes) if totals[row]
        )

    unlabelled = int((data.train.labels == UNLABELLED).sum())
    text = f"{counts(data.train)}; {unlabelled} unlabelled"
    return text if data.test is None else f"{text}; test {counts(data.test)}"


def lay_out(folder, write_image, files):
    """Images, each of its own pixels; what ends in / is an empty folder, ~ a space; other files are text."""
    for seed, name in enumerate(files.split()):
        file = folder / name.replace("~", " ")
        if name.endswith("/"):
            file.mkdir(parents=True)
        elif file.suffix.lower() in (".png", ".pbm", ".jfif"):
            write_image(file.with_suffix(".png"), seed=seed)
            file.with_suffix(".png").rename(file)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("no image")


CLASSES = "cats/1.png dogs/1.png dogs/2.png "
TRAIN = "train/cats/1.png train/dogs/1.png train/dogs/2.png "
SUMMARY = "cats 1, dogs 2; 0 unlabelled"
TESTED = f"{SUMMARY}; test cats 1, dogs 1"


@pytest.mark.parametrize(
    ("files", "expected", "notes"),
    [
        (CLASSES, SUMMARY, []),
        (TRAIN, SUMMARY, []),
        *(
            (layout + f"{name}/cats/8.png {name}/dogs/9.png", TESTED, [])
            for layout in (CLASSES, TRAIN)
            for name in ("test", "Test", "TEST", "val", "Val", "valid", "Valid", "validation")
        ),
        (TRAIN.replace("train", "Train") + "Valid/cats/8.png Valid/dogs/9.png", TESTED, []),
        *(
            (layout + f"{name}/8.png {name}/more/9.png", SUMMARY.replace("0", "2"), [])
            for layout in (CLASSES, TRAIN)
            for name in ("unlabelled", "unlabeled", "Unlabeled", "UNLABELLED")
        ),
        (CLASSES + "unlabelled/8.png Unlabeled/9.png", SUMMARY.replace("0", "2"), []),
        (TRAIN + "train/Unlabelled/8.png 9.png", SUMMARY.replace("0", "2"), []),
        *(
            (
                layout + "valid/cats/7.png Test/cats/8.png Test/dogs/9.png",
                TESTED,
                ["valid (1 image) is not used: the test images are those in Test"],
            )
            for layout in (CLASSES, TRAIN)
        ),
        (
            TRAIN + "validation/7.png validation/8.png val/cats/8.png val/dogs/9.png",
            TESTED,
            ["validation (2 images) is not used: the test images are those in val"],
        ),
        ("train/1.png train/2.png", "; 2 unlabelled", []),
        ("1.png 2.png", "; 2 unlabelled", []),
        # Classes whose names have a meaning elsewhere, or nearly one.
        ("train/1.png plane/1.png plane/2.png", "plane 2, train 1; 0 unlabelled", []),
        (
            "train/1.png plane/1.png test/train/8.png test/plane/9.png",
            "plane 1, train 1; 0 unlabelled; test plane 1, train 1",
            [],
        ),
        (
            "train/steam/1.png train/diesel/2.png plane/jet/1.png",
            "plane 1, train 2; 0 unlabelled",
            ["train is read as a class, like plane"],
        ),
        ("valid/1.png invalid/2.png", "invalid 1, valid 1; 0 unlabelled", []),
        ("rain/1.png brain/1.png oval/1.png", "brain 1, oval 1, rain 1; 0 unlabelled", []),
        (
            "trains/1.png planes/1.png",
            "planes 1, trains 1; 0 unlabelled",
            ["trains is read as a class, though its name resembles train"],
        ),
        ("a/1.png A/1.png", "A 1, a 1; 0 unlabelled", []),
        # Folders in folders.
        ("rain/a/1.png rain/b/2.png snow/1.png", "rain 2, snow 1; 0 unlabelled", []),
        (
            "rain/2020/1.png rain/2021/1.png snow/2020/1.png snow/2021/1.png",
            "rain 2, snow 2; 0 unlabelled",
            [
                "all classes (rain, snow) hold the same folders (2020, 2021): check whether those are the"
                " classes"
            ],
        ),
        # Files that are passed over.
        (
            CLASSES + "cats/a.HEIC cats/b.heic dogs/c.avif d.tga notes.txt LICENSE",
            SUMMARY,
            ["6 files skipped: .heic 2, .avif 1, .tga 1, .txt 1, without suffix 1"],
        ),
        (CLASSES + "cats/a.svg", SUMMARY, ["1 file skipped: .svg 1"]),
        (CLASSES + "cats/Thumbs.db dogs/.DS_Store .x/1.png desktop.ini", SUMMARY, []),
        (CLASSES + "__MACOSX/cats/1.png @eaDir/1.png/thumb.png", SUMMARY, []),
        (CLASSES + "cats/a.jfif cats/b.JFIF dogs/c.pbm", "cats 3, dogs 3; 0 unlabelled", []),
        (
            "1.png 2.png attributes.csv",
            "; 2 unlabelled",
            [
                "attributes.csv is not read: labels come from metadata.csv alone",
                "1 file skipped: .csv 1",
            ],
        ),
        (
            CLASSES + "labels.csv",
            SUMMARY,
            [
                "labels.csv looks like a table of labels and is not read: labels come from the names of"
                " folders and from metadata.csv",
                "1 file skipped: .csv 1",
            ],
        ),
    ],
)
def test_a_layout_is_understood(folder, write_image, files, expected, notes):
    lay_out(folder, write_image, files)
    data = open_data_set(DataSettings(path=folder))
    assert understood(data) == expected
    assert list(data.notes) == notes


def slip(folder: str, looks_like: str) -> str:
    return (
        rf"images/{folder}: expected a class, or train, test, val, valid, validation or unlabelled,"
        f" got '{folder.split('/')[-1]}', which looks like {looks_like}; rename it"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        *(
            (layout + f"{name}/8.png", slip(name.replace("~", " "), meant_name))
            for layout in (CLASSES, TRAIN)
            for name, meant_name in (
                ("unlabled", "unlabeled"),
                ("Unlabeld", "unlabeled"),
                ("unlabel", "unlabeled"),
                ("un-labelled", "unlabelled"),
                ("unlabelled_images", "unlabelled"),
            )
        ),
        (TRAIN + "train/unlabled/9.png", slip("train/unlabled", "unlabeled")),
        *(
            (
                layout + f"{name}/cats/8.png {name}/dogs/9.png",
                slip(name.replace("~", " "), meant_name),
            )
            for layout in (CLASSES, TRAIN)
            for name, meant_name in (
                ("tests", "test"),
                ("testing", "test"),
                ("test2", "test"),
                ("test~set", "test"),
                ("tset", "test"),
                ("vaild", "valid"),
                ("validations", "validation"),
            )
        ),
        (TRAIN + "tests/8.png", slip("tests", "test")),
        (TRAIN.replace("train", "Training") + "Testing/cats/9.png", slip("Testing", "test")),
        (TRAIN.replace("train", "training") + "test/cats/9.png", slip("training", "train")),
        (TRAIN.replace("train", "labelled") + "unlabelled/9.png", slip("labelled", "train")),
        (TRAIN.replace("train", "training"), slip("training", "train")),
        (
            CLASSES + "holdout/cats/8.png holdout/dogs/9.png",
            r"images/holdout: expected the images of a class, got folders of classes that are also next to it"
            r" \(cats, dogs\); name it test or unlabelled, or move it out of",
        ),
        (CLASSES + TRAIN, r"images/train: expected the images of a class, got .* \(cats, dogs\)"),
        *(
            (
                TRAIN + f"docs/9.png {test}",
                r"images/docs: expected only test, val, valid, validation and unlabelled next to"
                r" train/<class>/, got 'docs'; move it out of .*images, or, if train is a class, put its"
                " images directly into train/",
            )
            for test in ("", "test/cats/8.png", "valid/dogs/8.png")
        ),
        (
            TRAIN + "images/cats/9.png",
            r"images/images: expected only test, val, valid, validation and unlabelled next to",
        ),
        (
            "frog/1.png Frog/2.png cat/1.png",
            "images: expected classes of different names, got 'Frog' and 'frog', which differ by capitals"
            " alone; give both one name",
        ),
        ("train/frog/1.png train/FROG/2.png", "got 'FROG' and 'frog', which differ by capitals"),
        ("frog/1.png frog~/2.png", "got 'frog' and 'frog ', which differ by outer spaces alone"),
        (
            "Frog~/1.png frog/2.png",
            "got 'Frog ' and 'frog', which differ by outer spaces and capitals alone",
        ),
        (
            "f\u00fc\u00dfe/1.png fu\u0308\u00dfe/2.png",
            ", which are one text in two forms of Unicode",
        ),
        (
            "test/a/1.png Test/a/2.png b/1.png",
            "images: expected one folder test, got (Test and test|test and Test)",
        ),
        ("train/a/1.png Train/b/2.png", "images: expected one folder train, got"),
        (CLASSES + "test/9.png", r"test/9\.png: expected test images in test/<class>/"),
        (CLASSES + "Val/9.png", r"Val/9\.png: expected test images in Val/<class>/"),
        (CLASSES + "valid/9.png", r"valid/9\.png: expected test images in valid/<class>/"),
        (
            TRAIN + "test/Cats/9.png",
            r"test/Cats/9\.png: expected a label among the 2 classes .* got 'Cats'",
        ),
        (
            CLASSES + "test/ val/cats/9.png",
            r"images/test: expected images .*, got a folder with none;",
        ),
        (
            "photos/cats/1.png photos/dogs/1.png",
            r"images: expected folders of two classes or more, got 'photos' alone, which holds cats, dogs;"
            r" if those are the classes, use .*images/photos$",
        ),
        *(
            (
                " ".join(f"data/{name}" for name in inner.split()),
                rf"images: expected folders of two classes or more, got 'data' alone, which holds {content};"
                r" use .*images/data$",
            )
            for inner, content in (
                (TRAIN, "train"),
                (TRAIN + "test/cats/8.png test/dogs/9.png", "test, train"),
                (TRAIN + "unlabelled/9.png", "train, unlabelled"),
                ("Train/cats/1.png", "Train"),
            )
        ),
        (
            "a/b/cats/1.png a/b/dogs/1.png",
            r"got 'a/b' alone, which holds cats, dogs; if those are the classes, use .*images/a/b$",
        ),
        (
            "a/b/train/cats/1.png a/b/train/dogs/1.png",
            r"got 'a/b' alone, which holds train; use .*images/a/b$",
        ),
        (
            "train/data/cats/1.png train/data/dogs/1.png test/cats/1.png",
            r"images/train: .* got 'data' alone, which holds cats, dogs; if those are the classes, move"
            r" them up into .*images/train$",
        ),
        (
            "1.png 2.png labels.csv",
            r"images/labels\.csv: expected labels in .*images/metadata\.csv, .* got 'labels\.csv'; rename it,"
            " or move it out",
        ),
        ("1.png 2.png metadata.csv.txt", r"images/metadata\.csv\.txt: expected labels in"),
        ("1.png 2.png metadata.xlsx", r"images/metadata\.xlsx: expected labels in"),
        ("1.png train/2.png train/metadata.csv", r"train/metadata\.csv: expected labels in"),
        (
            "cats/1.heic",
            r"images: expected images .*, got a folder with none \(1 file skipped: \.heic 1\)$",
        ),
        (
            CLASSES + "frogs/1.heic frogs/2.heic frogs/3.avif",
            r"images/frogs: .* got a folder with none \(3 files skipped: \.heic 2, \.avif 1\); remove",
        ),
    ],
)
def test_a_layout_is_refused(folder, write_image, files, message, monkeypatch):
    monkeypatch.setattr("convergan.data.store_writer.decode_in_order", None)  # before it is decoded
    lay_out(folder, write_image, files)
    with pytest.raises(UserError, match=message) as caught:
        open_data_set(DataSettings(path=folder))
    assert "\n" not in str(caught.value)


def test_a_table_of_labels_under_another_name_is_refused(folder, write_image):
    lay_out(folder, write_image, "1.png 2.png")
    (folder / "train_list.csv").write_text("Image;Label\n1.png;cat\n2.png;dog\n")
    with pytest.raises(UserError, match=r"train_list\.csv: expected labels in"):
        open_data_set(DataSettings(path=folder))


def test_images_in_two_classes_are_noted(folder, write_image):
    lay_out(folder, write_image, CLASSES + "unlabelled/9.png")
    (folder / "cats" / "2.png").write_bytes((folder / "dogs" / "2.png").read_bytes())
    (folder / "unlabelled" / "1.png").write_bytes((folder / "dogs" / "2.png").read_bytes())
    assert open_data_set(DataSettings(path=folder)).notes == (
        "2 images occur in two or more classes, pixel for pixel: cats/2.png (cats) equals dogs/2.png (dogs)",
    )


def test_images_in_training_and_test_set_are_noted(folder, write_image):
    lay_out(folder, write_image, CLASSES + "test/cats/8.png test/dogs/9.png")
    for name in ("a", "b"):
        (folder / "test" / "dogs" / f"{name}.png").write_bytes(
            (folder / "dogs" / "2.png").read_bytes()
        )
    assert open_data_set(DataSettings(path=folder)).notes == (
        "2 test images are training images too, pixel for pixel: test/dogs/a.png equals dogs/2.png, and"
        " others",
    )


def test_images_that_are_all_equal_are_noted(folder, write_image):
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        write_image(folder / name)
    data = open_data_set(DataSettings(path=folder))
    assert data.notes == ("all 3 training images are identical, pixel for pixel",)


def test_images_without_duplicates_are_not_noted(folder, write_image):
    lay_out(folder, write_image, CLASSES + "test/cats/8.png")
    data = open_data_set(DataSettings(path=folder))
    assert data.notes == ()
    assert len(np.unique(data.train.images, axis=0)) == 3
