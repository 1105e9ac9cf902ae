"""The plan of a run with minutes or arms, in steps, as recipe.yaml holds it."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, Len

from convergan.recipes.base import Settings

Steps = Annotated[int, Interval(ge=1, le=10**9)]
Minutes = Annotated[float, Interval(ge=0.01, le=10**5)]


@dataclass(frozen=True, kw_only=True)
class PlanSettings(Settings, group="plan"):
    """Steps of the arms as planned when a run began, so that a repetition of the run uses the same.

    The steps of the recipe's own training are in `steps`. The run writes these settings, not the user.
    """

    minutes: Minutes | None = None
    """Minutes of the plan. A recipe with different minutes is planned again."""

    settings_sha256: Annotated[str, Len(64, 64)] | None = None
    """Hash of the settings that affect the duration of a step. A recipe with other settings is planned
    again."""

    epochs: Annotated[int, Interval(ge=1, le=10**6)] | None = None
    """Number of parts of each training; a test follows each part. Unset: the recipe's `epochs`."""

    hold_out_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Steps of a training with held-out labels, as a fraction of the arm's steps."""

    baseline_hold_out: Steps | None = None
    """Steps of a training of the arm `baseline` with held-out labels. Unset: determined as for the other
    arms.

    If `baseline_steps` limits the baseline, its trainings with held-out labels have as much time as those of
    other arms, up to that limit. With only a fraction of the limit, it would look weaker than it is.
    """

    baseline: Steps | None = None
    """Steps of the arm `baseline`. Unset: the run has no such arm."""

    composed: Steps | None = None
    """Steps of the arm `composed`."""

    consistency: Steps | None = None
    """Steps of the arm `consistency`."""

    gan: Steps | None = None
    """Steps of the arm `gan`."""

    frozen: Steps | None = None
    """Steps of the arm `frozen`."""

    def steps_of(self, arm: str) -> int | None:
        """Steps of an arm other than the recipe's own; None if none are planned."""
        steps: int | None = getattr(self, arm)
        return steps
