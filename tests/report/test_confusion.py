import numpy as np

from convergan.report.confusion import Confusion, Pair

COUNTS = np.array([[8, 2, 0], [0, 5, 5], [1, 0, 0]])
CLASSES = ["cat", "dog", "owl"]


def test_rows_count_what_is_right() -> None:
    rows = Confusion.from_counts(COUNTS, CLASSES).rows
    assert [(row.name, row.right, row.total) for row in rows] == [
        ("cat", 8, 10),
        ("dog", 5, 10),
        ("owl", 0, 1),
    ]
    assert [cell.count for cell in rows[1].cells] == [0, 5, 5]
    assert [cell.right for cell in rows[1].cells] == [False, True, False]


def test_shades_follow_the_class_where_right_and_the_commonest_mistake_where_wrong() -> None:
    rows = Confusion.from_counts(COUNTS, CLASSES).rows
    assert [cell.shade for cell in rows[0].cells] == [0.8, 0.4, 0.0]
    assert [cell.shade for cell in rows[1].cells] == [0.0, 0.5, 1.0]


def test_pairs_are_the_commonest_mistakes_first() -> None:
    assert Confusion.from_counts(COUNTS, CLASSES).pairs == [
        Pair("dog", "owl", 5, 10),
        Pair("cat", "dog", 2, 10),
        Pair("owl", "cat", 1, 1),
    ]


def test_of_many_classes_only_the_pairs_are_shown() -> None:
    confusion = Confusion.from_counts(np.eye(21, dtype=int) + 2, [str(n) for n in range(21)])
    assert confusion.rows == [] and len(confusion.pairs) == 20
    assert len(Confusion.from_counts(np.eye(20, dtype=int), [str(n) for n in range(20)]).rows) == 20


def test_without_mistakes_and_without_images() -> None:
    assert Confusion.from_counts(np.diag([3, 4]), ["a", "b"]).pairs == []
    assert Confusion.from_counts(np.zeros((2, 2), int), ["a", "b"]).rows[0].cells[0].shade == 0


def test_of_many_classes_a_mistake_made_once_is_none_of_the_commonest() -> None:
    counts = np.roll(np.eye(1000, dtype=int), 1, axis=1)
    single = Confusion.from_counts(counts, [str(n) for n in range(1000)])
    assert single.pairs == [] and single.mistakes == 1000
    counts[7, 8] = 2
    repeated = Confusion.from_counts(counts, [str(n) for n in range(1000)])
    assert repeated.pairs == [Pair("7", "8", 2, 2)]
