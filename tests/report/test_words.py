import pytest

from convergan.report.words import confidence, duration, epoch_ranges, rows, sentences

S = "\N{NO-BREAK SPACE}"


def test_no_classifier_is_wholly_sure() -> None:
    assert confidence(0.9994) == f"99.9{S}%"
    assert confidence(0.99999) == confidence(1.0) == f"over 99.9{S}%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.26, f"1.3{S}s"),
        (59.4, f"59{S}s"),
        (59.7, f"1{S}min 0{S}s"),
        (205, f"3{S}min 25{S}s"),
        (3599.8, f"1{S}h 0{S}min"),
        (90_000, f"25{S}h 0{S}min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("epochs", "text"),
    [([5], "epoch 5"), ([3, 4, 5], "epochs 3 to 5"), ([9, 3, 4, 5, 5], "epochs 3 to 5, 9")],
)
def test_epochs_in_a_row_are_one_range(epochs: list[int], text: str) -> None:
    assert epoch_ranges(epochs) == text


def test_nested_settings_become_dotted_lines() -> None:
    tree = {
        "seed": 0,
        "data": {"path": None, "skip": True, "more": {}},
        "labelled": list(range(1200)),
        "skipped": [{"name": "a.png", "reason": "truncated"}],
    }
    assert dict(rows(tree)) == {
        "seed": "0",
        "data.path": "–",
        "data.skip": "yes",
        "data.more": "–",
        "labelled": "1,200 values: 0, 1, 2, 3, 4, 5, 6, 7, …",
        "skipped": "name: a.png reason: truncated",
    }


def test_a_text_is_split_into_its_sentences() -> None:
    assert sentences(
        "It misclassifies 2.8 % (p < 0.001). The other, e.g. on 3 %: no. 4 more! Yes"
    ) == [
        "It misclassifies 2.8 % (p < 0.001).",
        "The other, e.g. on 3 %: no. 4 more!",
        "Yes",
    ]
