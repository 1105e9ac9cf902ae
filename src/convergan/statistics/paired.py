"""Tests of pairs: two answers about each of the same things."""


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """The two-sided p-value of the exact McNemar test, that either of two is wrong equally often.

    What both get right or both get wrong tells nothing. Of the n = only_first + only_second others, the
    number on which the first is wrong is binomial(n, 1/2); p is the probability of one at most as likely.

    Source: McNemar, Psychometrika 12 (1947), 153-157.

    Args:
        only_first: on how many the first alone is wrong, at least 0.
        only_second: on how many the second alone is wrong, at least 0.

    Returns:
        0 to 1; 1 where both are wrong on the same.
    """
    # It takes long to load, and a training needs it at its end alone.
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0
