"""The warning about a test of few images."""

from dataclasses import dataclass

from convergan.page.words import count
from convergan.statistics.intervals import wilson

ENOUGH = 50
"""Number of test images from which there is no warning: they measure a rate of one half to within 13
points."""


@dataclass(frozen=True, kw_only=True)
class FewTests:
    """Warning about a test of few images."""

    message: str
    advice: str


def few_tests(size: int, *, held_out: bool, folds: int) -> FewTests | None:
    """The warning about a test of `size` images; None if they are enough.

    Args:
        size: number of images that errors are counted on; with folds, of all folds together.
        held_out: True if these are labelled images that were held out, False for a test set.
        folds: number of folds in which they were held out; 0 if they were held out once.
    """
    if not 0 < size < ENOUGH:
        return None
    low, high = wilson(size // 2, size)
    images = "held-out label" if held_out or folds else "test image"
    message = (
        f"{count(size)} {images}{'s measure' if size > 1 else ' measures'} an error rate only to about "
        f"±{100 * (high - low) / 2:.0f} points"
    )
    test_set = "a labelled test set measures better"
    if folds:
        return FewTests(message=message, advice=f"more labels measure better; {test_set}")
    if held_out:
        return FewTests(message=message, advice=f"--data.folds 4 tests each label once; {test_set}")
    return FewTests(message=message, advice="more test images measure better")
