"""The schedule: half real, half generated, nothing twice, all images equally often."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from convergan.study.design.plan import Plan
from convergan.study.design.schedule import Pool, steps

PLAN = Plan(trials=20, practice=4, checks=4, seed=3)
REAL = Pool("real", practice=(1, 2), trials=range(100, 137))
GENERATED = Pool("random", practice=(3, 4), trials=range(200, 260))


def schedule(place, plan=PLAN, arm="random", secret="secret"):
    return steps(plan, secret, arm, place, REAL, GENERATED)


@pytest.mark.parametrize("place", range(30))
def test_each_participant_gets_half_real_half_generated_and_nothing_twice(place):
    sequence = schedule(place)
    kinds = Counter((step.kind, step.generated) for step in sequence if step.kind != "check")
    assert kinds == {
        ("practice", False): 2, ("practice", True): 2, ("trial", False): 10, ("trial", True): 10,
    }  # fmt: skip
    images = [step.image for step in sequence if step.image is not None]
    assert len(set(images)) == len(images) == 24
    for step in sequence:
        if step.image is not None:
            assert step.generated == (step.image in (3, 4) or step.image >= 200)
    assert [step.kind for step in sequence[:4]] == ["practice"] * 4


@pytest.mark.parametrize("place", range(30))
def test_checks_are_spread_and_ask_for_both_answers(place):
    main_steps = [step for step in schedule(place) if step.kind != "practice"]
    places = [number for number, step in enumerate(main_steps) if step.kind == "check"]
    assert len(places) == 4 and places[0] > 0
    # One in each quarter of the trials.
    trials_before = [place - number for number, place in enumerate(places)]
    assert [(trials - 1) // 5 for trials in trials_before] == [0, 1, 2, 3]
    answers = Counter(step.generated for step in main_steps if step.kind == "check")
    assert answers == {True: 2, False: 2}


def test_images_are_shown_equally_often():
    frequencies = Counter(step.image for place in range(60) for step in schedule(place))
    del frequencies[None]
    # 10 of 60 each: six participants a deal, ten whole deals.
    assert {frequencies[image] for image in GENERATED.trials} == {10}
    # 10 of 37: seven are left over in each deal, others each time.
    counts = [frequencies[image] for image in REAL.trials]
    assert sum(counts) == 600 and max(counts) - min(counts) <= 8


def test_neighbours_do_not_meet_in_every_deal():
    deals = [
        {frozenset(s.image for s in schedule(p) if s.kind == "trial" and s.generated)}
        for p in (0, 6, 12)
    ]
    assert all(first != second for first, second in pairwise(deals))


def test_the_seed_and_the_secret_decide_and_nothing_else():
    assert schedule(5) == schedule(5)
    assert schedule(5) != schedule(6)
    assert schedule(5) != schedule(5, replace(PLAN, seed=4))
    assert schedule(5) != schedule(5, arm="random, feedback")
    assert schedule(5) != schedule(5, secret="another")


def test_the_order_tells_nothing():
    """The truth of a trial does not depend on that of the trial before."""
    repetitions = [
        first.generated == second.generated
        for place in range(400)
        for first, second in pairwise(s for s in schedule(place) if s.kind == "trial")
    ]
    # 10 of 20, without replacement: 9 of 19.
    assert abs(sum(repetitions) / len(repetitions) - 9 / 19) < 0.02


def test_controls_are_trials_spread_over_the_others():
    plan = replace(PLAN, controls=4)
    obvious = Pool("control", practice=(), trials=range(300, 306))
    for place in range(20):
        sequence = steps(plan, "secret", "random", place, REAL, GENERATED, obvious)
        trials = [step for step in sequence if step.kind == "trial"]
        positions = [number for number, step in enumerate(trials) if step.image >= 300]
        assert len(trials) == 24 and all(trials[number].generated for number in positions)
        # One in each quarter of the others, none twice.
        assert [
            (number - controls_before) // 5 for controls_before, number in enumerate(positions)
        ] == [0, 1, 2, 3]
        assert len({trials[number].image for number in positions}) == 4
        assert [step for step in trials if step.image < 300] == [
            step for step in schedule(place) if step.kind == "trial"
        ]
