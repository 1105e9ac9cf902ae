"""Commands `convergan study plan` and `convergan study power`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from tyro.conf import Positional, arg

from convergan.ranges import Checked
from convergan.study.design.plan import Plan

_PAPERS_DIFFERENCE = round(0.787 - 0.714, 3)
"""Change of people's accuracy on CIFAR-10 when the paper selected images by their Inception score."""

_LARGE_DIFFERENCE = 0.8
"""A large difference by Cohen's convention, in standard deviations between participants."""

StudyArgument = Annotated[Positional[str], arg(metavar="STUDY")]


def power_line(plan: Plan, arms: int = 2, images: int = 500) -> str:
    """Describe the power of a study with this plan, in one sentence."""
    from convergan.study.design.power import power_of_difference, power_of_thresholds
    from convergan.study.design.staircase import FEWEST_TRIALS

    if arms == 1:
        return "none to compute: with one arm, there is nothing to compare"
    if plan.timed and plan.trials <= FEWEST_TRIALS:
        return f"none: an exposure threshold needs more than {FEWEST_TRIALS} trials per participant"
    if plan.timed:
        power = power_of_thresholds(max(2, plan.participants), _LARGE_DIFFERENCE)
        return (
            f"a difference of {_LARGE_DIFFERENCE:g} standard deviations between the exposure thresholds of"
            f" two arms would be found in {100 * power:.0f} % of studies of this size"
        )
    power = power_of_difference(
        max(2, plan.participants), plan.trials, _PAPERS_DIFFERENCE, arms=arms, images=images
    )
    return (
        f"a difference of {100 * _PAPERS_DIFFERENCE:.1f} points between two arms, as between the paper's"
        f" 78.7 % and 71.4 %, would be found in {100 * power:.0f} % of studies of this size"
    )


@dataclass(kw_only=True)
class ShowPlan(Checked):
    """Print the frozen plan of a study, as JSON or as a preregistration."""

    study: StudyArgument
    """Database of the study: a file, or postgresql://user@host/name."""

    markdown: bool = False
    """Write a preregistration: hypotheses, design, sample size and power, exclusions, analysis."""

    out: Path = Path("-")
    """File to write. `-`: the standard output."""

    overwrite: bool = False
    """Replace an existing file."""

    def run(self) -> None:
        from convergan.study_commands import require_extra

        require_extra()
        from convergan.json_files import json_text
        from convergan.outputs import require_output, write_output
        from convergan.study.preparation.preregistration import preregistration, read_plan

        require_output(self.out, name="out", overwrite=self.overwrite)
        plan = read_plan(self.study)
        write_output(self.out, preregistration(plan) if self.markdown else json_text(plan))


@dataclass(kw_only=True)
class Power(Checked):
    """Compute the power to find a difference, or the number of participants that it needs."""

    difference: Annotated[float, Interval(ge=0, le=100)] = 100 * _PAPERS_DIFFERENCE
    """Difference between the accuracies of two arms, in points; 7.3 between the paper's 78.7 % and 71.4 %."""

    participants: Annotated[int, Interval(ge=2, le=100_000)] = 40
    """Number of participants in each arm."""

    trials: Annotated[int, Interval(ge=1, le=10_000)] = 100
    """Number of images that each participant judges."""

    arms: Annotated[int, Interval(ge=2, le=1000)] = 2
    """Number of arms in the study; with more arms, Holm's correction makes each comparison stricter."""

    images: Annotated[int, Interval(ge=2, le=10**6)] = 500
    """Number of images shown from each set; participants and images both count as random samples."""

    power: Annotated[float, Interval(gt=0, lt=1)] | None = None
    """Compute the number of participants for this power instead."""

    stdev_between: Annotated[float, Interval(ge=0, le=0.5)] = 0.07
    """Standard deviation of true accuracy between participants; 328 participants showed the default on
    CIFAR-10."""

    stdev_between_images: Annotated[float, Interval(ge=0, le=0.5)] = 0.16
    """Standard deviation of true accuracy between the images of a set."""

    def run(self) -> None:
        from convergan.study.design.power import participants_needed, power_of_difference

        options: dict[str, Any] = {
            "arms": self.arms,
            "images": self.images,
            "stdev_between": self.stdev_between,
            "stdev_between_images": self.stdev_between_images,
        }
        participants, difference = self.participants, self.difference / 100
        if self.power is not None:
            participants = participants_needed(self.power, self.trials, difference, **options)
        power = power_of_difference(participants, self.trials, difference, **options)
        print(
            f"{participants} participants in each of {self.arms} arms, {self.trials} trials each,"
            f" {self.images:,} images of each set: a difference of {self.difference:.3g} points would be"
            f" found in {100 * power:.0f} % of studies of this size"
        )
