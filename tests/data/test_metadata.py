import pytest

from convergan.data import UNLABELLED, open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def images(folder, write_image):
    for number in range(5):
        write_image(folder / f"{number}.png", seed=number)
    write_image(folder / "sub" / "5.png", seed=5)
    return folder


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


def test_another_encoding_is_a_mistake(images):
    with pytest.raises(UserError, match=r"metadata\.csv: expected comma-separated values in UTF-8"):
        opened(images, "file_name,label\n0.png,Grün\n", encoding="latin-1")
