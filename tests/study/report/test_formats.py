from convergan.study.report.formats import index, p_words, points, points_interval


def test_numbers() -> None:
    assert (index(-0.004), index(-0.126), index(1.5)) == ("0.00", "−0.13", "1.50")
    assert (points(0.0731), points(-0.05)) == ("+7.3", "−5.0")
    assert points_interval((-0.01, 0.02)) == "−1.0 to +2.0" and points_interval(None) == "–"
    assert (p_words(0.00004), p_words(0.04)) == (
        "p below 0.001",
        "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.04",
    )
