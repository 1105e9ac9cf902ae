import numpy as np
import pytest

from convergan.statistics.intervals import expanded_percentiles
from convergan.study.rates import rates_of
from convergan.study.statistics.two_way import MEASURES, two_way_replicates
from convergan.study.votes import Votes
from simulated_votes import joined, simulated_votes


def by_brute_force(votes: Votes, arms: list[str], rng: np.random.Generator) -> np.ndarray:
    """One replicate, vote by vote: [3, arms]."""
    images: dict[str, float] = {}
    for kind in {(g, s if g else "") for g, s in zip(votes.generated, votes.images, strict=True)}:
        rows = votes.generated == kind[0]
        if kind[0]:
            rows = rows & (votes.images == kind[1])
        names = np.unique(votes.image[rows])
        for name in rng.choice(names, len(names)):
            images[name] = images.get(name, 0) + 1
    found = np.full((3, len(arms)), np.nan)
    for place, arm in enumerate(arms):
        people = np.unique(votes.participant[votes.arm == arm])
        rates: list[list[float]] = [[], [], []]
        for person in rng.choice(people, len(people)):
            wrong, shown = np.zeros(2), np.zeros(2)
            for row in np.flatnonzero(votes.participant == person):
                weight = images.get(votes.image[row], 0)
                side = 0 if votes.generated[row] else 1
                wrong[side] += weight * votes.wrong[row]
                shown[side] += weight
            rates[0].append(1 - wrong.sum() / shown.sum())
            rates[1].append(wrong[0] / shown[0])
            rates[2].append(wrong[1] / shown[1])
        found[:, place] = [np.mean(each) for each in rates]
    return found


def test_replicates_spread_as_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    votes = simulated_votes(
        rng, {"one": 0.75, "other": 0.6}, participants=5, trials=20, pool=15, stdev_of_images=0.08
    )
    arms = ["one", "other"]
    found = two_way_replicates(votes, arms, rng, 4000)
    expected = np.stack([by_brute_force(votes, arms, rng) for _ in range(400)])
    assert found.shape == (4000, len(MEASURES), 2)
    np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.015)
    np.testing.assert_allclose(found.std(0), expected.std(0), rtol=0.12)
    # Arms share the draws of their real images, so what they make of these moves together.
    shared = np.corrcoef(found[:, 2].T)[0, 1]
    assert shared == pytest.approx(np.corrcoef(expected[:, 2].T)[0, 1], abs=0.15)


def test_one_vote_an_image_and_participant_counts_chance_three_times() -> None:
    """Pure noise on a table without structure is where Owen's factor of three shows whole."""
    rng = np.random.default_rng(0)
    size = 60
    table = rng.random((size, size)) < 0.5
    votes = Votes(
        participant=np.repeat([f"p{n}" for n in range(size)], size),
        arm=np.full(size * size, "arm"),
        images=np.full(size * size, "set"),
        image=np.tile([f"i{n}" for n in range(size)], size),
        trial=np.tile(np.arange(1, size + 1), size),
        generated=np.full(size * size, True),
        answered_generated=table.ravel(),
        response_seconds=np.full(size * size, np.nan),
        feedback=np.full(size * size, False),
        exposure_ms=np.full(size * size, np.nan),
    )
    spread = two_way_replicates(votes, ["arm"], rng, 4000)[:, 1, 0].var()
    assert spread / (0.25 / size**2) == pytest.approx(3, rel=0.15)


def test_the_participants_names_and_their_order_change_nothing() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"a": 0.7, "b": 0.8}, participants=6, pool=60)
    shuffled = votes.chosen(np.random.default_rng(1).permutation(len(votes)))
    both = [
        two_way_replicates(each, ["a", "b"], np.random.default_rng(2), 50)
        for each in (votes, shuffled)
    ]
    np.testing.assert_allclose(*both)


@pytest.mark.parametrize(
    "pool",
    [pytest.param(50, id="all see the same images"), pytest.param(1000, id="few votes each")],
)
def test_the_interval_covers_the_truth_at_least_as_often_as_it_says(pool: int) -> None:
    """`benchmarks/study_statistics.py` does 1,000 runs of 10,000 replicates."""
    runs, truth = 100, 0.75
    rng = np.random.default_rng(3)
    arms = [f"{run:03}" for run in range(runs)]
    # As if one study had so many arms, each with images' effects of its own.
    votes = joined(
        [simulated_votes(rng, {arm: truth}, pool=pool, same_images=True) for arm in arms]
    )
    low, high = expanded_percentiles(two_way_replicates(votes, arms, rng, 300), 40)
    truths = np.array([truth, 1 - truth, 1 - truth])[:, None]
    covered = ((low <= truths) & (truths <= high)).mean(1)
    assert (covered >= 0.93).all(), covered
    assert rates_of(votes).accuracy.mean() == pytest.approx(truth, abs=0.005)
