"""The steps that minutes came to, as they are kept in recipe.yaml."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, Len

from convergan.recipes.base import Settings

Steps = Annotated[int, Interval(ge=1, le=10**9)]
Minutes = Annotated[float, Interval(ge=0.01, le=10**5)]


@dataclass(frozen=True, kw_only=True)
class PlanSettings(Settings, group="plan"):
    """Steps of the arms, as they were planned when a run began, so that whoever repeats it takes the same.

    The steps of the recipe's own training are `steps`. Nobody has to set these.
    """

    minutes: Minutes | None = None
    """Minutes that were planned for. Where a recipe asks for others, it is planned anew."""

    settings_sha256: Annotated[str, Len(64, 64)] | None = None
    """Hash of the settings that decide how long a step takes. Where a recipe has others, it is planned
    anew."""

    epochs: Annotated[int, Interval(ge=1, le=10**6)] | None = None
    """Parts of each training, after each of which it is tested. Unset: the recipe's `epochs`."""

    hold_out_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Steps of a training whose held-out labels choose among the arms, as a share of those of the arm."""

    baseline_hold_out: Steps | None = None
    """Steps of a training of the arm `baseline` that holds labels out. Unset: as many as of any other arm.

    Where the baseline's steps end as it learns nothing more, it is given as much time as the others here too,
    up to those steps: a part of them would make it look weaker than it is.
    """

    baseline: Steps | None = None
    """Steps of the arm `baseline`. Unset: it is no arm of this run; and so on."""

    composed: Steps | None = None
    """Steps of the arm `composed`."""

    consistency: Steps | None = None
    """Steps of the arm `consistency`."""

    gan: Steps | None = None
    """Steps of the arm `gan`."""

    frozen: Steps | None = None
    """Steps of the arm `frozen`."""

    def steps_of(self, arm: str) -> int | None:
        """Steps of an arm other than the recipe's own; None where none are planned."""
        steps: int | None = getattr(self, arm)
        return steps
