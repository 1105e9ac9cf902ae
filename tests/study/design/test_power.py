import numpy as np
import pytest
from scipy.stats import ttest_ind

from convergan.cli import main
from convergan.errors import UserError
from convergan.study.design.power import (
    participants_needed,
    power_of_difference,
    power_of_thresholds,
)
from harness.simulated_votes import simulated_rates


@pytest.mark.parametrize(
    ("participants", "trials", "difference"), [(40, 100, 0.05), (20, 50, 0.1), (100, 30, 0.03)]
)
def test_power_is_that_of_simulated_studies(
    participants: int, trials: int, difference: float
) -> None:
    """Accuracies are near one half, where the variance of the binomial is the formula's."""
    rng = np.random.default_rng(participants)
    first, second = (
        simulated_rates(rng, mean, participants=participants, trials=trials, runs=4000)
        for mean in (0.5 + difference / 2, 0.5 - difference / 2)
    )
    rate = (ttest_ind(first, second).pvalue < 0.05).mean()
    assert power_of_difference(participants, trials, difference) == pytest.approx(rate, abs=0.025)


def test_power_of_thresholds_is_that_of_simulated_studies() -> None:
    first, second = np.random.default_rng(0).normal([[0.8], [0]], 1, (4000, 2, 20)).swapaxes(0, 1)
    rate = (ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert power_of_thresholds(20, 0.8) == pytest.approx(rate, abs=0.025)
    with pytest.raises(UserError, match="difference: expected at least 0, got -1"):
        power_of_thresholds(20, -1)


def test_the_default_study_finds_the_papers_difference() -> None:
    assert power_of_difference(40, 100, 0.787 - 0.714) == pytest.approx(0.964, abs=0.001)


def test_power_at_its_ends() -> None:
    assert power_of_difference(40, 100, 0) == pytest.approx(0.05)
    assert power_of_difference(40, 100, 1) == 1
    assert power_of_difference(40, 1, 0.2, stdev_between=0) < power_of_difference(40, 9, 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 100, 0.1), "participants: expected at least 2, got 1"),
        ((40, 0, 0.1), "trials: expected at least 1, got 0"),
        ((40, 100, 7.3), "difference: expected 0 to 1, got 7.3"),
    ],
)
def test_impossible_studies(arguments: tuple[int, int, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        power_of_difference(*arguments)
    with pytest.raises(UserError, match=r"stdev_between: expected 0 to 0\.5, got nan"):
        power_of_difference(40, 100, 0.1, stdev_between=float("nan"))


def test_power_with_images_as_samples_is_that_of_simulated_studies() -> None:
    """The difference is between the means of two arms, each with images of its own."""
    rng = np.random.default_rng(0)
    people, images, runs, difference = 30, 40, 4000, 0.1
    noise = np.zeros((2, runs))
    for arm in range(2):
        rates = rng.normal(0, 0.05, (runs, people)) + rng.normal(
            0, np.sqrt(0.25 / 50), (runs, people)
        )
        noise[arm] = rates.mean(1) + rng.normal(0, 0.16, (runs, images)).mean(1) / 2
    spread = (noise[0] - noise[1]).std()
    rate = (np.abs(noise[0] - noise[1] + difference) > 1.99 * spread).mean()
    power = power_of_difference(
        people, 50, difference, stdev_between=0.05, images=images, stdev_between_images=0.16
    )
    assert power == pytest.approx(rate, abs=0.03)
    assert power < power_of_difference(people, 50, difference, stdev_between=0.05) - 0.02


def test_more_arms_need_more_and_the_fewest_participants_are_enough() -> None:
    assert power_of_difference(40, 100, 0.05, arms=6) < power_of_difference(40, 100, 0.05)
    participants = participants_needed(0.8, 100, 0.05, images=200, arms=3)
    options = {"images": 200, "arms": 3}
    assert power_of_difference(participants, 100, 0.05, **options) >= 0.8
    assert power_of_difference(participants - 1, 100, 0.05, **options) < 0.8
    with pytest.raises(UserError, match="this difference and number of images allow"):
        participants_needed(0.9, 100, 0.01, images=10)


def test_the_command_says_what_a_study_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "power", "--difference", "7.3", "--images", "500"]) == 0
    assert "difference of 7.3 points would be found in 9" in capsys.readouterr().out
    assert main(["study", "power", "--difference", "5", "--power", "0.8", "--arms", "3"]) == 0
    assert "participants in each of 3 arms" in capsys.readouterr().out
