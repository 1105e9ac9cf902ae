"""Tests of paired answers: two classifiers on the same images, for example."""


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided p-value of the exact McNemar test, for the hypothesis that both are wrong equally often.

    Cases that both get right or both get wrong carry no information. Among the other
    n = only_first + only_second cases, the number that the first gets wrong is binomial(n, 1/2); p is the
    probability of all numbers that are at most as likely as the observed one.

    Source: McNemar, Psychometrika 12 (1947), 153-157.

    Args:
        only_first: number of cases that only the first gets wrong, at least 0.
        only_second: number of cases that only the second gets wrong, at least 0.

    Returns:
        The p-value, 0 to 1; it is 1 if both get the same cases wrong.
    """
    # scipy.stats takes long to load, and a training needs it only at its end.
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0
