"""Order of trials: a function of the plan's seed, the study's secret and a participant's place in an arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from convergan.study.design.plan import Plan

Kind = Literal["practice", "trial", "check"]


@dataclass(frozen=True)
class Step:
    """One step of a session: an image to judge, or an attention check."""

    kind: Kind
    generated: bool
    """Truth about the image; for a check, the answer that it asks for."""
    image: int | None
    """Number of the image; None for a check, which shows none."""


@dataclass(frozen=True)
class Pool:
    """Images of one kind: those for practice, and those for trials."""

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
    """List the steps of a session: practice, then the trials with controls and checks among them.

    Half of the trials show real images, half generated ones, none twice, in a different order for each
    participant. Over the participants of an arm, each image is shown about equally often. Controls and checks
    are spread evenly, each at a random place in its part of the trials. To participants, a control is a trial
    like any other.

    Args:
        plan: the settings.
        secret: the study's secret. Seed, arm and place can be guessed, and practice and checks would confirm
            the guess: without a secret, a browser could compute the truth about every trial to come.
        arm: the name of the arm.
        place: 0 for the first participant of the arm, 1 for the next.
        real: the pool of real images.
        generated: the pool of the arm's generated images.
        control: the pool of obvious fakes; needed if the plan has controls.
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
        # From the last to the first, so that positions do not move.
        fakes = _share(control, plan.controls, seed, place)
        for number in reversed(range(plan.controls)):
            first, end = (plan.trials * part // plan.controls for part in (number, number + 1))
            trials.insert(
                random.randint(first, max(first, end - 1)), Step("trial", True, fakes[number])
            )
    answers = [number % 2 == 0 for number in range(plan.checks)]
    random.shuffle(answers)
    images = len(trials)
    for number in reversed(range(plan.checks)):
        first, end = (images * part // plan.checks for part in (number, number + 1))
        trials.insert(random.randrange(first, end) + 1, Step("check", answers[number], None))
    return practice + trials


def _share(pool: Pool, count: int, seed: str, place: int) -> list[int]:
    """Deal a participant's images from a pool, which is shuffled again whenever all have been dealt."""
    participants_a_deal = len(pool.trials) // count
    deal, part = divmod(place, participants_a_deal)
    order = list(pool.trials)
    Random(f"{seed}/{pool.name}/{deal}").shuffle(order)
    return order[part * count : (part + 1) * count]
