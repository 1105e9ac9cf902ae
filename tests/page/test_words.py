from convergan.page.words import chance, percent

S = "\N{NO-BREAK SPACE}"


def test_a_percentage_tells_one_image_from_the_next() -> None:
    assert percent(14 / 500, size=500) == f"2.8{S}%"
    assert percent(97 / 10_000, size=10_000) == f"0.97{S}%"


def test_a_tiny_chance_is_not_zero() -> None:
    assert (chance(1e-9), chance(0.0421), chance(1.0)) == ("below 0.001", "0.042", "1")
