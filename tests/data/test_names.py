import numpy as np
import pytest

from convergan.data.names import ChosenNames, RowNames


def test_rows_count_from_zero_in_each_table():
    names = RowNames([("a row", 2), ("b row", 0), ("c row", 3)])
    assert list(names) == ["a row 0", "a row 1", "c row 0", "c row 1", "c row 2"]
    assert names[-1] == "c row 2"
    assert names[np.int64(1)] == "a row 1"
    assert names[1:3] == ["a row 1", "c row 0"]
    with pytest.raises(IndexError):
        names[5]


def test_no_tables_have_no_names():
    assert len(RowNames([])) == 0


def test_chosen_names_follow_their_rows():
    assert list(ChosenNames(["a", "b", "c"], np.array([2, 0]))) == ["c", "a"]
