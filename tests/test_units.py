"""Numbers with their units."""

import pytest

from convergan.units import bytes_in_words


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (960, "960 bytes"),
        (999.7, "1 kB"),
        (1_500, "1.5 kB"),
        (49_900_000, "49.9 MB"),
        (999_960_000, "1 GB"),
        (63e9, "63 GB"),
        (1_730e9, "1,730 GB"),
    ],
)
def test_bytes_are_told_in_the_unit_that_fits(count: float, expected: str) -> None:
    assert bytes_in_words(count) == expected
