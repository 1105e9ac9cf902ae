"""Durations of the trainings of a run's arms, from what a step and a test of each take."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from convergan.recipes.arms import BASELINE, FROZEN, own_arm
from convergan.recipes.settings import Recipe

CLASSIFICATIONS = 2
"""Classifications of each test image in an epoch: by averaged and by raw weights."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Measured durations of an arm, in seconds."""

    step: float
    """Of a step; of the arm `frozen`, which has one, of all that it learns."""

    test: float
    """Of the classification of an image."""

    shared: float = 0.0
    """Of what is done once for all trainings of the arm: of `frozen`, the features of the labelled images."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Numbers of the images that a run is tested on, and of its divisions."""

    test: int
    """Images in the test set; 0 where there is none."""

    held_out: int
    """Labelled images that a training holds out."""

    folds: int
    """Trainings of each arm that hold labels out; 0: none does."""


@dataclass(frozen=True)
class ArmTimes:
    """Durations of trainings with their tests, in seconds."""

    recipe: Recipe
    costs: Mapping[str, ArmCost]
    images: Images
    epochs: int

    @property
    def own(self) -> str:
        """The recipe's own arm."""
        return own_arm(self.recipe)

    def most_steps(self, arm: str) -> int | None:
        """Steps from which an arm learns nothing more; None where it always does."""
        most = {BASELINE: self.recipe.baseline_steps, FROZEN: 1}
        return None if arm == self.own else most.get(arm)

    def of_tests(self, arm: str, images: int) -> float:
        """Duration of the tests of a training, after each epoch and at its end."""
        tests = 1 if arm == FROZEN else CLASSIFICATIONS * self.epochs + 1
        return tests * images * self.costs[arm].test

    def of_result(self, arm: str, steps: int) -> float:
        """Duration of a training on all labels."""
        shared = 0.0 if self.images.folds else self.costs[arm].shared
        return shared + steps * self.costs[arm].step + self.of_tests(arm, self.images.test)

    def of_folds(self, arm: str, steps: int) -> float:
        """Duration of an arm's trainings that hold labels out, of so many steps each."""
        each = steps * self.costs[arm].step + self.of_tests(arm, self.images.held_out)
        return self.images.folds * each + (self.costs[arm].shared if self.images.folds else 0.0)

    def of_all_folds(self, steps: Mapping[str, int], share: float) -> float:
        """Duration of all of those of all arms, of a share of these steps."""
        held_out = self.all_hold_out_steps(steps, share)
        return sum(self.of_folds(name, count) for name, count in held_out.items())

    def all_hold_out_steps(self, steps: Mapping[str, int], share: float) -> dict[str, int]:
        """Those of all arms."""
        return {name: self._hold_out_steps(name, steps, share) for name in steps}

    def _hold_out_steps(self, arm: str, steps: Mapping[str, int], share: float) -> int:
        """Steps of a training of an arm that holds labels out, given the steps of the results.

        A share of them; of an arm that learns nothing more, what takes as long as the recipe's own arm's.
        """
        shared = max(1, round(share * steps[arm]))
        if steps[arm] != self.most_steps(arm):
            return shared
        own_seconds = max(1, round(share * steps[self.own])) * self.costs[self.own].step
        return max(shared, min(steps[arm], math.floor(own_seconds / self.costs[arm].step)))

    def steps_in(self, arm: str, seconds: float, share: float | None = None) -> int:
        """The steps of a result that take so many seconds, at least 1 and no more than `most_steps`.

        Args:
            arm: name of the arm.
            seconds: for the result alone; with a share, for the trainings that hold labels out as well.
            share: steps of each of those, as a share of those of the result.
        """
        tests = self.of_tests(arm, self.images.test)
        factor = 1.0
        if share is not None:
            tests += self.images.folds * self.of_tests(arm, self.images.held_out)
            factor += share * self.images.folds
        steps = max(1, math.floor((seconds - tests) / factor / self.costs[arm].step))
        most = self.most_steps(arm)
        return steps if most is None else min(steps, most)
