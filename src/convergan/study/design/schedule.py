"""Who sees what in which order: a function of the plan's seed, the study's secret, the place in an arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from convergan.study.design.plan import Plan

Kind = Literal["practice", "trial", "check"]


@dataclass(frozen=True)
class Step:
    """One thing to answer."""

    kind: Kind
    generated: bool
    """The truth; of a check: the answer that it asks for."""
    image: int | None
    """The image's number; None for a check, which shows none."""


@dataclass(frozen=True)
class Pool:
    """The images of one kind: those to practise on, and those of the trials."""

    name: str
    practice: Sequence[int]
    trials: Sequence[int]


def steps(
    plan: Plan,
    secret: str,
    arm: str,
    place: int,
    real: Pool,
    generated: Pool,
    control: Pool | None = None,
) -> list[Step]:
    """Practice, then the trials with the controls and the checks among them.

    Half of the trials show real images, half generated ones, none twice, in an order of their own for each
    participant. Over the participants of an arm each image is shown about equally often. Controls and checks
    are spread evenly, each at a random place in its part of the trials. A control is a trial like any other
    to who takes part.

    Args:
        plan: the settings.
        secret: the study's. Seed, arm and place can be guessed, and practice and checks confirm the guess:
            without a secret a browser could work out every truth that is still to come.
        arm: its name.
        place: 0 for the first participant of the arm, 1 for the next.
        real: pool of the real images.
        generated: pool of the arm's generated images.
        control: pool of obvious fakes; needed where the plan has controls.
    """
    seed = f"{plan.seed}/{secret}/{arm}"
    random = Random(f"{seed}/{place}")
    practice = [
        Step("practice", pool is generated, image)
        for pool in (real, generated)
        for image in pool.practice[: plan.practice // 2]
    ]
    trials = [
        Step("trial", pool is generated, image)
        for pool in (real, generated)
        for image in _share(pool, plan.trials // 2, seed, place)
    ]
    random.shuffle(practice)
    random.shuffle(trials)
    if control is not None and plan.controls:
        # From the last to the first, so that places do not move.
        shown = _share(control, plan.controls, seed, place)
        for number in reversed(range(plan.controls)):
            first, end = (plan.trials * part // plan.controls for part in (number, number + 1))
            trials.insert(
                random.randint(first, max(first, end - 1)), Step("trial", True, shown[number])
            )
    asked = [number % 2 == 0 for number in range(plan.checks)]
    random.shuffle(asked)
    images = len(trials)
    for number in reversed(range(plan.checks)):
        first, end = (images * part // plan.checks for part in (number, number + 1))
        trials.insert(random.randrange(first, end) + 1, Step("check", asked[number], None))
    return practice + trials


def _share(pool: Pool, count: int, seed: str, place: int) -> list[int]:
    """The participant's images of a pool that is shuffled anew whenever it has been dealt out."""
    participants_a_deal = len(pool.trials) // count
    deal, part = divmod(place, participants_a_deal)
    order = list(pool.trials)
    Random(f"{seed}/{pool.name}/{deal}").shuffle(order)
    return order[part * count : (part + 1) * count]
