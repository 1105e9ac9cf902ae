import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from convergan.errors import UserError
from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.rates import Rates, rates_of
from convergan.study.analysis.statistics.detection import detection
from convergan.study.analysis.votes import Votes
from harness.simulated_votes import joined, simulated_votes


@pytest.fixture(scope="module")
def votes() -> Votes:
    rng = np.random.default_rng(1)
    parts = [
        simulated_votes(rng, {"none": 0.71, "with feedback": 0.79}, same_images=True, pool=120),
        simulated_votes(rng, {"other images": 0.72}, pool=120),
    ]
    return joined(parts)


@pytest.fixture(scope="module")
def findings(votes: Votes) -> Findings:
    return analyse(votes)


def test_means_are_over_participants(votes: Votes, findings: Findings) -> None:
    rates = rates_of(votes)
    assert [arm.name for arm in findings.arms] == ["none", "other images", "with feedback"]
    for arm in findings.arms:
        arm_rates = rates.chosen(rates.arm == arm.name)
        assert arm.participants == 40 and arm.votes == 4000
        assert arm.accuracy.value == pytest.approx(arm_rates.accuracy.mean(), abs=1e-12)
        assert arm.error_on_generated and arm.error_on_real and arm.d_prime and arm.criterion
        assert arm.error_on_generated.value == pytest.approx(arm_rates.error_on_generated.mean())
        assert arm.error_on_real.value == pytest.approx(arm_rates.error_on_real.mean())
        d_prime, criterion = detection(
            arm_rates.fooled, arm_rates.generated_trials, arm_rates.doubted, arm_rates.real_trials
        )
        assert arm.d_prime.value == pytest.approx(d_prime.mean())
        assert arm.criterion.value == pytest.approx(criterion.mean())
        seconds = votes.response_seconds[votes.arm == arm.name].reshape(40, 100)
        assert arm.response_seconds == pytest.approx(np.median(np.median(seconds, axis=1)))
    assert [arm.feedback for arm in findings.arms] == [False, False, True]


def test_intervals_lie_as_they_should(votes: Votes, findings: Findings) -> None:
    for arm in findings.arms:
        for share in (arm.accuracy, arm.error_on_generated, arm.error_on_real):
            assert share and share.participants and share.participants_and_images and share.naive
            outer, inner = share.participants_and_images, share.participants
            assert inner[0] < share.value < inner[1] and outer[0] < share.value < outer[1]
            assert outer[1] - outer[0] > 0.95 * (inner[1] - inner[0]), "images differ, too"
            assert share.naive[1] - share.naive[0] < inner[1] - inner[0], "naive is too sure"
        right = int((~votes.wrong[votes.arm == arm.name]).sum())
        naive = binomtest(right, 4000).proportion_ci(method="wilson")
        assert arm.accuracy.naive == pytest.approx((naive.low, naive.high))


def test_comparisons(votes: Votes, findings: Findings) -> None:
    rates = rates_of(votes)
    pairs = {
        (comparison.first, comparison.second): comparison for comparison in findings.comparisons
    }
    assert set(pairs) == {
        ("none", "other images"), ("none", "with feedback"), ("other images", "with feedback"),
    }  # fmt: skip
    for (first, second), comparison in pairs.items():
        first_accuracy, second_accuracy = (
            rates.accuracy[rates.arm == arm] for arm in (first, second)
        )
        assert comparison.accuracy.value == pytest.approx(
            first_accuracy.mean() - second_accuracy.mean()
        )
        assert comparison.samples == "participants and images"
        interval = comparison.accuracy.participants_and_images
        assert (
            interval
            and comparison.p_value
            and (comparison.p_value < 0.05) == (not interval[0] <= 0 <= interval[1])
        )
        assert comparison.p_holm is not None and comparison.p_value is not None
        assert comparison.p_value <= comparison.p_holm <= min(1, 3 * comparison.p_value)
        bounds = comparison.accuracy.participants
        assert bounds and bounds[0] < comparison.accuracy.value < bounds[1]
    feedback = pairs["none", "with feedback"].accuracy
    assert feedback.participants_and_images and feedback.participants_and_images[1] < 0


def test_arms_that_share_their_images_are_compared_more_closely() -> None:
    """The images' effects fall out of a difference between arms that show the same ones."""
    rng = np.random.default_rng(3)
    shape = {"participants": 60, "pool": 50, "stdev_of_images": 0.1, "stdev": 0.02}
    votes = simulated_votes(rng, {"a": 0.7, "b": 0.7}, same_images=True, **shape)  # type: ignore[arg-type]
    [shared] = analyse(votes).comparisons
    image = np.char.add(votes.image, np.where(votes.arm == "a", "", " of b"))
    [separate] = analyse(replace(votes, image=image)).comparisons
    widths = [
        bounds[1] - bounds[0]
        for comparison in (shared, separate)
        if (bounds := comparison.accuracy.participants_and_images)
    ]
    assert widths[0] < 0.8 * widths[1]


def test_learning_and_agreement(findings: Findings) -> None:
    for arm in findings.arms:
        assert arm.learning and arm.learning.gain and arm.learning.gain.participants
        assert [block.last_trial for block in arm.learning.blocks] == list(range(10, 101, 10))
        mean = np.mean([block.accuracy.value for block in arm.learning.blocks])
        assert mean == pytest.approx(arm.accuracy.value)
        assert arm.agreement and arm.agreement.alpha > 0.1


def test_sets_and_their_images(votes: Votes, findings: Findings) -> None:
    assert [(image_set.name, image_set.participants) for image_set in findings.image_sets] == [
        ("set", 80), ("set other images", 40),
    ]  # fmt: skip
    [first, _] = findings.image_sets
    rows = votes.generated & (votes.images == "set")
    rates = [image.rate for image in first.images]
    assert rates == sorted(rates, reverse=True)
    for image in first.images[::40]:
        own = rows & (votes.image == image.image)
        assert (image.votes, image.fooled) == (own.sum(), votes.wrong[own].sum())
        assert image.interval[0] < image.rate < image.interval[1]
    assert sum(image.votes for image in first.images) == rows.sum()


def test_scores_of_images_and_of_sets(votes: Votes) -> None:
    images = np.unique(votes.image[votes.generated]).tolist()
    scores = {image: -float(votes.wrong[votes.image == image].mean()) for image in images}
    partial_scores = {image: scores[image] for image in images if image.startswith("set/")}
    result = analyse(
        votes, image_scores=partial_scores, set_scores={"set": 1, "set other images": 2}
    )
    correlation = result.image_sets[0].correlation
    assert correlation and correlation.size == 120 and correlation.rho < -0.9
    assert result.image_sets[1].correlation is None, "none of its images has a score"
    assert result.error_correlation is None, "two sets are no ranking"
    assert [image_set.score for image_set in result.image_sets] == [1, 2]
    with pytest.raises(UserError, match=r"image scores: expected some .* such as set other"):
        analyse(votes, image_scores={"elsewhere.png": 1})
    with pytest.raises(UserError, match=r"got none for set other images$"):
        analyse(votes, set_scores={"set": 1})


def test_the_same_votes_give_the_same_findings(votes: Votes, findings: Findings) -> None:
    assert analyse(votes) == findings
    shuffled = votes.chosen(np.random.default_rng(0).permutation(len(votes)))
    assert analyse(shuffled).arms[0].accuracy == findings.arms[0].accuracy
    assert analyse(votes, seed=1) != findings


def test_json_holds_everything_and_no_nan(findings: Findings) -> None:
    text = json.dumps(findings.as_json(), allow_nan=False)
    content = json.loads(text)
    assert content["arms"][0]["accuracy"]["participants"] == list(
        findings.arms[0].accuracy.participants or ()
    )
    assert content["arms"][0]["equivalence"]["indistinguishable"] is False
    assert content["unavailable"] == {}


def test_rates_alone(votes: Votes, findings: Findings) -> None:
    result = analyse(rates_of(votes))
    for with_votes, arm in zip(findings.arms, result.arms, strict=True):
        assert arm.accuracy.value == with_votes.accuracy.value
        assert arm.accuracy.naive == with_votes.accuracy.naive
        assert arm.d_prime and with_votes.d_prime
        assert arm.d_prime.value == with_votes.d_prime.value
        assert arm.accuracy.participants_and_images is None
        assert (arm.learning, arm.agreement, arm.response_seconds, arm.feedback) == 4 * (None,)
    assert [image_set.images for image_set in result.image_sets] == [[], []]
    assert set(result.unavailable.values()) == {"needs single votes"}
    unknown = np.full(120, np.nan)
    bare: Rates = replace(rates_of(votes), generated_trials=unknown, real_trials=unknown)
    bare_result = analyse(bare)
    assert bare_result.votes is None and bare_result.arms[0].d_prime is None
    assert (
        bare_result.arms[0].accuracy.naive is None and "d' and criterion" in bare_result.unavailable
    )


def test_very_small_studies(votes: Votes) -> None:
    one_participant = votes.chosen(votes.participant == votes.participant[0])
    result = analyse(one_participant)
    [arm] = result.arms
    assert arm.participants == 1 and arm.accuracy.participants is None and arm.equivalence is None
    assert arm.accuracy.naive is not None and result.comparisons == []
    single = analyse(votes.chosen(np.array([0])))
    assert single.votes == 1 and json.dumps(single.as_json(), allow_nan=False)
    two = votes.chosen(np.isin(votes.participant, votes.participant[[0, 4000]]))
    [comparison] = analyse(two).comparisons
    assert comparison.p_value is None and comparison.p_holm is None
    only_real = analyse(votes.chosen(~votes.generated))
    assert only_real.arms[0].error_on_generated is None and only_real.arms[0].d_prime is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 0.5}, r"margin: expected above 0 and below 0\.5, got 0\.5"),
        ({"block_trials": 0}, "block_trials: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
    ],
)
def test_impossible_arguments(votes: Votes, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        analyse(votes, **arguments)
    with pytest.raises(UserError, match="votes: expected at least one, got none"):
        analyse(votes.chosen(np.array([], int)))


def test_of_41_arms_that_differ_most_comparisons_show_it() -> None:
    """Holm's smallest p after 10,000 permutations was .082: no comparison of 820 could show a difference."""
    rng = np.random.default_rng(8)
    names = [f"model {place:02}" for place in range(41)]
    accuracies = np.linspace(0.56, 0.91, 41)
    own = np.clip(rng.normal(accuracies[:, None], 0.07, (41, 25)), 0, 1)
    wrong = 1 - rng.binomial(200, own) / 200
    arm = np.repeat(names, 25)
    people = np.array([f"{place}" for place in range(41 * 25)])
    half = np.full(len(people), 100.0)
    rates = Rates(people, arm, arm, half, half, wrong.ravel(), wrong.ravel())
    comparisons = analyse(rates).comparisons
    p_values = np.array([comparison.p_holm for comparison in comparisons], float)
    assert len(p_values) == 820 and (p_values < 0.05).sum() > 350
    neighbours = [
        comparison.p_holm for comparison in comparisons if abs(comparison.accuracy.value) < 0.02
    ]
    assert min(neighbours) > 0.05  # type: ignore[type-var]
