import numpy as np

from convergan.report.disagreements import MOST_SHOWN, disagreements
from convergan.report.inputs import Disagreements

CLASSES = ["cat", "dog", "ship"]


def row(answer: int, confidence: float) -> list[float]:
    remainder = (1 - confidence) / 2
    return [confidence if label == answer else remainder for label in range(3)]


def disagreements_of(labels: list[int], **answers: list[tuple[int, float]]) -> Disagreements | None:
    return disagreements(
        np.array(labels),
        {
            arm: np.array([row(*answer) for answer in arm_answers])
            for arm, arm_answers in answers.items()
        },
        CLASSES,
        lambda place: np.full((2, 2, 1), place, np.uint8),
        lambda place: f"{place}.png",
    )


def test_the_surest_mistake_comes_first_and_what_nobody_has_right_last() -> None:
    cat, dog, ship = 0, 1, 2
    result = disagreements_of(
        [cat, cat, cat, cat, cat],
        one=[(dog, 0.99), (cat, 0.9), (cat, 0.7), (cat, 0.6), (dog, 0.8)],
        other=[(ship, 0.9), (cat, 0.8), (dog, 0.8), (ship, 0.95), (dog, 0.7)],
    )
    assert result is not None
    # Both are right about image 1, and both give the same wrong answer for image 4.
    assert [example.name for example in result.examples] == ["3.png", "2.png", "0.png"]
    assert (result.count, result.size) == (3, 5)
    first = result.examples[0]
    assert first.label == "cat" and first.answers == {"one": "cat", "other": "ship"}
    np.testing.assert_allclose([first.confidences["one"], first.confidences["other"]], [0.6, 0.95])
    assert first.image[0, 0, 0] == 3


def test_being_sure_and_right_counts_for_nothing() -> None:
    result = disagreements_of(
        [0, 0],
        one=[(0, 0.99), (0, 0.5)],
        other=[(1, 0.6), (1, 0.7)],
    )
    assert result is not None and [example.name for example in result.examples] == [
        "1.png",
        "0.png",
    ]


def test_of_equals_the_earlier_ones_are_shown_and_all_are_counted() -> None:
    count = 3 * MOST_SHOWN
    result = disagreements_of([0] * count, one=[(0, 0.9)] * count, other=[(1, 0.9)] * count)
    assert result is not None and result.count == count
    assert [example.name for example in result.examples] == [
        f"{place}.png" for place in range(MOST_SHOWN)
    ]


def test_only_what_is_shown_is_read() -> None:
    indices: list[int] = []

    def image(place: int) -> np.ndarray:
        indices.append(place)
        return np.zeros((2, 2, 1), np.uint8)

    first, second = np.tile(row(0, 0.9), (100, 1)), np.tile(row(1, 0.9), (100, 1))
    second[:90] = first[:90]
    disagreements(np.zeros(100, int), {"a": first, "b": second}, CLASSES, image, str)
    assert indices == list(range(90, 100))


def test_one_arm_disagrees_with_nobody() -> None:
    assert disagreements_of([0], one=[(1, 0.9)]) is None
    agreed = disagreements_of([0], one=[(1, 0.9)], other=[(1, 0.6)])
    assert agreed is not None and (agreed.examples, agreed.count, agreed.size) == ([], 0, 1)
