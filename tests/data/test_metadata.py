import pytest

from convergan.data.image_set import UNLABELLED
from convergan.data.source import open_data_set
from convergan.data.splits import draw_split
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def images(folder, write_image):
    for number in range(5):
        write_image(folder / f"{number}.png", seed=number)
    write_image(folder / "sub" / "5.png", seed=5)
    return folder


def labels_of(part) -> dict[str, int]:
    return dict(zip(part.names, part.labels.tolist(), strict=True))


def opened(folder, text, encoding="utf-8"):
    (folder / "metadata.csv").write_text(text, encoding=encoding)
    return open_data_set(DataSettings(path=folder))


def test_labels_come_from_the_table(images):
    data = opened(
        images,
        "label,file_name,camera,split\n"
        "Rot,0.png,x,train\n blau ,./1.png,x,\n,2.png,x,train\nRot,sub/5.png,x,test\n",
        encoding="utf-8-sig",
    )
    assert data.classes == ("Rot", "blau")
    # 3 and 4 are not in the table.
    assert list(data.train.names) == [f"{number}.png" for number in range(5)]
    assert data.train.labels.tolist() == [0, 1, UNLABELLED, UNLABELLED, UNLABELLED]
    assert list(data.test.names) == ["sub/5.png"] and data.test.labels.tolist() == [0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "file_name,label,split\n0.png,Grün,\nsub/5.png,Grün,test\n",
        "file_name;label;split\r\n0.png;Grün;\r\nsub/5.png;Grün;test\r\n",
        "file_name\tlabel\tsplit\n0.png\tGrün\ttrain\nsub/5.png\tGrün\ttest\n",
        "file_name, label, split\n0.png, Grün, train\nsub/5.png, Grün, test\n",
        '"file_name"; "label"; "split"\n"0.png"; "Grün"; "train"\n"sub/5.png"; "Grün"; "test"\n',
        "Split,File_Name, LABEL \ntrain,0.png,Grün\nTEST,sub/5.png, Grün \n",
        "File Name,Label,split\n.\\0.png,Grün,Train\nsub\\5.png,Grün,Test\n",
        *(
            f"{name},label,split\n0.png,Grün,\nsub/5.png,Grün,{split}\n"
            for name, split in [
                ("filename", "val"),
                ("file", "Valid"),
                ("Image", "validation"),
                ("path", "VAL"),
                ("file-name", "test"),
            ]
        ),
        "file_name,label,split\r0.png,Grün,\rsub/5.png,Grün,test\r",
        # Empty rows, as spreadsheets leave them at the end.
        "file_name;label;split\n0.png;Grün;\n\nsub/5.png;Grün;test\n;;\n;;\n",
    ],
)
def test_a_table_is_read_as_spreadsheets_and_people_write_it(images, text, encoding):
    data = opened(images, text, encoding)
    assert data.classes == ("Grün",)
    assert labels_of(data.train) == {"0.png": 0, **{f"{number}.png": -1 for number in range(1, 5)}}
    assert labels_of(data.test) == {"sub/5.png": 0}
    assert data.notes == ("4 images that metadata.csv does not name are unlabelled",)


def test_new_labels_cost_no_decoding(images, monkeypatch):
    first = opened(images, "file_name,label\n0.png,a\n1.png,b\n")

    def forbidden(*_, **__):
        raise RuntimeError("decoded again")

    monkeypatch.setattr("convergan.data.store_writer.decode_in_order", forbidden)
    second = opened(images, "file_name,label\n0.png,b\n1.png,c\n2.png,d\n")
    assert second.classes == ("b", "c", "d")
    assert (first.train.images == second.train.images).all()
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "photo,label\n",
            r"metadata\.csv: expected the columns file_name and label, got photo, label",
        ),
        ("", r"metadata\.csv: expected the columns .*, got an empty file"),
        (
            "file_name,label\n0.png,a\nabsent.png,b\n",
            r"metadata\.csv line 3: .* got 'absent\.png', which is not there",
        ),
        (
            "file_name,label\nmetadata.csv,a\n",
            r"line 2: expected a file .* \.png, .* got 'metadata\.csv'",
        ),
        (
            "file_name,label\n0.png,a\n./0.png,b\n",
            r"line 3: expected each file once, got '0\.png' again",
        ),
        (
            "file_name,label\n0.png,a,b\n",
            "line 2: expected as many fields as the header has, got more",
        ),
        (
            "label,file_name\na\n",
            "line 2: expected as many fields as the header has, got 1 of 2",
        ),
        (
            "file_name,label,split\n0.png,a,test\n1.png\n",
            "line 3: expected as many fields as the header has, got 1 of 3",
        ),
        (
            'file_name,label\n0.png,"a\n1.png,b\n',
            r"metadata\.csv: expected comma-separated values .*, got unexpected end of data",
        ),
        (
            "file_name,label,Label\n0.png,a,b\n",
            r"metadata\.csv: expected each column once, got label again",
        ),
        (
            "file_name,label\n" + "x" * 5000 + ".png,b\n",
            r"line 2: expected an image in .*, got 'x+\.\.\.x+\.png', which is not there",
        ),
        (
            "file_name,label\n0.png,Frog\n1.png,frog\n",
            "images: expected classes of different names, got 'Frog' and 'frog', which differ by cap",
        ),
        (
            "file_name,label,split\n0.png,a,tset\n",
            "line 2: expected the split train, test or val, got 'tset'",
        ),
        (
            "file_name,label,split\n0.png,a,\n1.png,,test\n",
            r"1\.png: expected a label, as all test images",
        ),
        (
            "file_name,label,split\n0.png,a,\n1.png,b,test\n",
            r"1\.png: expected a label among .* got 'b'",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(images, text, message):
    with pytest.raises(UserError, match=message) as caught:
        opened(images, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_another_encoding_is_a_mistake(images):
    with pytest.raises(UserError, match=r"metadata\.csv: expected comma-separated values in UTF-8"):
        opened(images, "file_name,label\n0.png,Grün\n", encoding="latin-1")


def test_accents_may_be_written_in_either_form_of_unicode(folder, write_image):
    for seed, name in enumerate(["gru\u0308n.png", "bl\u00e4u.png"]):
        write_image(folder / name, seed=seed)
    data = opened(folder, "file_name,label\ngr\u00fcn.png,a\nbla\u0308u.png,b\n")
    assert labels_of(data.train) == {"gru\u0308n.png": 0, "bl\u00e4u.png": 1}


def test_the_tables_name_may_be_in_capitals(images):
    (images / "Metadata.CSV").write_text("file_name,label\n0.png,a\n1.png,b\n")
    assert open_data_set(DataSettings(path=images)).classes == ("a", "b")
    with pytest.raises(UserError, match=r"images: expected one metadata\.csv, got "):
        opened(images, "file_name,label\n0.png,a\n1.png,b\n")


def test_the_split_val_is_left_out_beside_test(images):
    data = opened(
        images,
        "file_name,label,split\n0.png,a,\n1.png,b,\n2.png,a,val\n3.png,a,valid\n4.png,b,test\n"
        "sub/5.png,,train\n",
    )
    assert labels_of(data.train) == {"0.png": 0, "1.png": 1, "sub/5.png": UNLABELLED}
    assert labels_of(data.test) == {"4.png": 1}
    assert data.notes == ("the split val (2 images) is not used: there is a split test",)


def test_without_a_split_the_folder_of_test_images_is_one(folder, write_image):
    for seed, name in enumerate(["train/0.png", "train/1.png", "Test/2.png", "val/3.png"]):
        write_image(folder / name, seed=seed)
    table = "file_name,label\ntrain/0.png,a\ntrain/1.png,b\nTest/2.png,a\nval/3.png,b\n"
    data = opened(folder, table)
    assert labels_of(data.train) == {"train/0.png": 0, "train/1.png": 1}
    assert labels_of(data.test) == {"Test/2.png": 0}
    assert data.notes == ("the split val (1 image) is not used: there is a split test",)
    # The table takes precedence over the folder.
    data = opened(
        folder,
        "file_name,label,split\ntrain/0.png,a,\ntrain/1.png,b,\nTest/2.png,a,train\nval/3.png,b,\n",
    )
    assert labels_of(data.train)["Test/2.png"] == 0
    assert labels_of(data.test) == {"val/3.png": 1}


@pytest.fixture
def classes(folder, write_image):
    names = ["cats/0.png", "cats/1.png", "dogs/2.png", "dogs/3.png", "unlabelled/4.png", "5.png"]
    for seed, name in enumerate([*names, "test/cats/6.png"]):
        write_image(folder / name, seed=seed)
    return folder


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("cats/0.png,cats\n", "cats/0.png 0, cats/1.png 0, dogs/2.png 1, dogs/3.png 1"),
        ("cats/0.png,\n", "cats/0.png -1, cats/1.png 0, dogs/2.png 1, dogs/3.png 1"),
        ("5.png,dogs\n", "5.png 1, cats/0.png 0, cats/1.png 0, dogs/2.png 1, dogs/3.png 1"),
        (
            "unlabelled/4.png,dogs\n",
            "cats/0.png 0, cats/1.png 0, dogs/2.png 1, dogs/3.png 1, unlabelled/4.png 1",
        ),
    ],
)
def test_a_table_beside_folders_of_classes_unlabels_nothing(classes, rows, expected):
    data = opened(classes, "file_name,label\n" + rows)
    assert data.classes == ("cats", "dogs")
    assert labels_of(data.test) == {"test/cats/6.png": 0}
    labels = {
        **dict.fromkeys(["5.png", "unlabelled/4.png"], "-1"),
        **dict(entry.split() for entry in expected.split(", ")),
    }
    assert {name: str(label) for name, label in labels_of(data.train).items()} == labels
    assert data.notes[0].startswith(
        "images that metadata.csv does not name get their folder's class: cats "
    )


def test_folders_that_are_no_classes_give_none(folder, write_image):
    for seed, name in enumerate(["camera/0.png", "camera/1.png", "phone/2.png", "phone/3.png"]):
        write_image(folder / name, seed=seed)
    data = opened(folder, "file_name,label\ncamera/0.png,cats\nphone/2.png,dogs\n")
    assert data.classes == ("cats", "dogs")
    assert data.train.labels.tolist() == [0, UNLABELLED, 1, UNLABELLED]
    assert data.notes == ("2 images that metadata.csv does not name are unlabelled",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "cats/0.png,cats\ncats/1.png,dogs\n",
            r"images/cats/1\.png: expected the label 'cats', the class of its folder as for cats/0\.png, got"
            r" 'dogs' in metadata\.csv; name all images there, or move this one",
        ),
        (
            "cats/0.png,x\ndogs/2.png,y\n",
            r"images/test/cats/6\.png: expected a row in metadata\.csv, as all test images need a label",
        ),
    ],
)
def test_a_table_that_contradicts_the_folders_is_refused(classes, rows, message):
    with pytest.raises(UserError, match=message):
        opened(classes, "file_name,label\n" + rows)


@pytest.mark.parametrize(
    "row",
    [
        "0.png,{},",
        "0.png,{},test",
        "{},a,",
        "{}.png,a,",
        "0.png,a,{}",
        "0.png,a\n{}",
        "0.png,{}\n0.png,{}",
    ],
)
def test_a_long_cell_is_not_quoted_as_a_whole(images, row):
    long = "x" * 100_000
    text = "file_name,label,split\nsub/5.png,a,\n" + row.replace("{}", long) + "\n"
    try:
        data = opened(images, text)
        draw_split(data, labels=6, seed=0)
    except UserError as error:
        assert len(str(error)) < 1000 and "\n" not in str(error)
    else:
        pytest.fail("there are not so many labels")
    with pytest.raises(UserError) as caught:
        opened(images, f"file_name,{long},{long}\n")
    assert len(str(caught.value)) < 1000
