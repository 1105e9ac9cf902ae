"""Durations of the trainings of a run's arms, from the durations of their steps and tests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from convergan.recipes.arms import BASELINE, FROZEN, own_arm
from convergan.recipes.settings import Recipe

CLASSIFICATIONS = 2
"""Classifications of each test image in an epoch: by EMA weights and by raw weights."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Measured durations of an arm, in seconds."""

    step: float
    """Duration of a step. The arm `frozen` has a single step, which is its whole fit."""

    test: float
    """Duration of classifying an image."""

    shared: float = 0.0
    """Duration of the work that all trainings of the arm share. For `frozen`: the features of labelled
    images."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Numbers of the images that a run is tested on, and number of its folds."""

    test: int
    """Images in the test set; 0 if there is none."""

    held_out: int
    """Labelled images that are held out in a training."""

    folds: int
    """Trainings of each arm with held-out labels; 0 if there are none."""


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

    def max_steps(self, arm: str) -> int | None:
        """Number of steps after which an arm no longer improves; None if there is no such limit."""
        limits = {BASELINE: self.recipe.baseline_steps, FROZEN: 1}
        return None if arm == self.own else limits.get(arm)

    def test_seconds(self, arm: str, images: int) -> float:
        """Duration of the tests of a training, after each epoch and at its end."""
        tests = 1 if arm == FROZEN else CLASSIFICATIONS * self.epochs + 1
        return tests * images * self.costs[arm].test

    def result_seconds(self, arm: str, steps: int) -> float:
        """Duration of a training on all labels."""
        shared = 0.0 if self.images.folds else self.costs[arm].shared
        return shared + steps * self.costs[arm].step + self.test_seconds(arm, self.images.test)

    def fold_seconds(self, arm: str, steps: int) -> float:
        """Duration of all trainings of an arm with held-out labels, with `steps` steps each."""
        seconds = steps * self.costs[arm].step + self.test_seconds(arm, self.images.held_out)
        return self.images.folds * seconds + (self.costs[arm].shared if self.images.folds else 0.0)

    def all_fold_seconds(self, steps: Mapping[str, int], share: float) -> float:
        """Duration of the trainings of all arms with held-out labels, with a share of the steps of the
        results.
        """
        held_out = self.all_hold_out_steps(steps, share)
        return sum(self.fold_seconds(name, count) for name, count in held_out.items())

    def all_hold_out_steps(self, steps: Mapping[str, int], share: float) -> dict[str, int]:
        """Steps of a training of each arm with held-out labels, given the steps of the results."""
        return {name: self._hold_out_steps(name, steps, share) for name in steps}

    def _hold_out_steps(self, arm: str, steps: Mapping[str, int], share: float) -> int:
        """Steps of a training of an arm with held-out labels, given the steps of the results.

        This is a share of the steps of its result. An arm that has reached its limit has as many as take the
        time of the recipe's own arm.
        """
        shared = max(1, round(share * steps[arm]))
        if steps[arm] != self.max_steps(arm):
            return shared
        own_seconds = max(1, round(share * steps[self.own])) * self.costs[self.own].step
        return max(shared, min(steps[arm], math.floor(own_seconds / self.costs[arm].step)))

    def steps_in(self, arm: str, seconds: float, share: float | None = None) -> int:
        """Number of steps of a result that fit in a time, at least 1 and at most `max_steps`.

        Args:
            arm: name of the arm.
            seconds: time for the result alone or, with a share, also for the trainings with held-out labels.
            share: steps of each training with held-out labels, as a share of those of the result.
        """
        tests = self.test_seconds(arm, self.images.test)
        factor = 1.0
        if share is not None:
            tests += self.images.folds * self.test_seconds(arm, self.images.held_out)
            factor += share * self.images.folds
        steps = max(1, math.floor((seconds - tests) / factor / self.costs[arm].step))
        limit = self.max_steps(arm)
        return steps if limit is None else min(steps, limit)
