from math import comb

import pytest

from convergan.statistics.paired import mcnemar_p_value


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 10), (3, 9), (9, 3), (5, 6), (40, 22)])
def test_p_is_a_sum_of_binomials(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    as_far = [k for k in range(n + 1) if abs(k - n / 2) >= abs(only_first - n / 2)]
    expected = sum(comb(n, k) for k in as_far) / 2**n
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected)


def test_those_that_never_differ_are_equally_good() -> None:
    assert mcnemar_p_value(0, 0) == 1.0
