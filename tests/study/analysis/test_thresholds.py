"""Timed arms: the exposures that people need are estimated, and compared."""

import json
from dataclasses import replace

import numpy as np
import pytest

from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.findings import Findings
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.unavailable import unavailable
from convergan.study.analysis.votes import Votes
from harness.simulated_votes import joined, simulated_votes, timed_votes


@pytest.fixture(scope="module")
def votes() -> Votes:
    return timed_votes(np.random.default_rng(1), {"random": 320, "best": 515})


@pytest.fixture(scope="module")
def findings(votes: Votes) -> Findings:
    return analyse(votes)


def test_the_exposure_tells_what_accuracy_hides(findings: Findings) -> None:
    for arm, truth in zip(findings.arms, (515, 320), strict=True):
        assert arm.timed and arm.threshold and arm.threshold.participants == 40
        bounds = arm.threshold.exposure_ms.participants_and_images
        assert bounds and bounds[0] < truth < bounds[1]
        assert abs(arm.threshold.exposure_ms.value / truth - 1) < 0.12
    [comparison] = findings.threshold_comparisons
    assert (comparison.first, comparison.second) == ("best", "random")
    assert comparison.p_value == comparison.p_holm and comparison.p_value < 0.001  # type: ignore[operator]
    bounds = comparison.ratio.participants_and_images
    assert bounds and 1.2 < bounds[0] < comparison.ratio.value < bounds[1] < 2.1


@pytest.mark.parametrize("truth", [150, 700])
def test_few_trials_far_from_the_start_give_a_wide_interval_and_not_a_wrong_one(truth: int) -> None:
    """The slope that all share is then hardly known; intervals that ignored this held 63 % of the truths."""
    rng = np.random.default_rng(truth)
    covered = 0
    for _ in range(20):
        threshold = Thresholds(timed_votes(rng, {"a": truth}, trials=60)).threshold("a")
        assert threshold and threshold.exposure_ms.participants_and_images
        low, high = threshold.exposure_ms.participants_and_images
        covered += low <= truth <= high
    assert covered >= 17


@pytest.mark.parametrize("truth", [150, 320, 700])
@pytest.mark.parametrize("trials", [60, 100])
def test_the_start_of_the_staircase_draws_nothing_towards_it(truth: int, trials: int) -> None:
    """The mean of the exposures that the staircase requested gave up to 242 for 150, and 635 for 700."""
    votes = timed_votes(
        np.random.default_rng(truth + trials), {"a": truth}, participants=150, trials=trials
    )
    threshold = Thresholds(votes).threshold("a")
    assert threshold and threshold.exposure_ms.value == pytest.approx(truth, rel=0.07)


def test_what_was_shown_counts_and_not_what_was_asked_for() -> None:
    rng = np.random.default_rng(9)
    votes = timed_votes(rng, {"a": 320}, participants=20, trials=80)
    undisturbed = Thresholds(votes)
    expected = undisturbed.threshold("a")
    hung = rng.random(len(votes)) < 0.1
    shown_ms = np.where(hung, 5000, votes.shown_ms)
    right = np.where(hung, votes.generated, votes.answered_generated)
    disturbed = Thresholds(replace(votes, shown_ms=shown_ms, answered_generated=right))
    threshold = disturbed.threshold("a")
    assert expected and threshold
    assert undisturbed.answers("a").wrong_exposures == 0  # type: ignore[union-attr]
    assert disturbed.answers("a").wrong_exposures == hung.sum()  # type: ignore[union-attr]
    assert threshold.exposure_ms.value == pytest.approx(expected.exposure_ms.value, rel=0.1)
    # Every exposure half a frame longer: within the frame by which a display may be off.
    late = replace(votes, shown_ms=votes.shown_ms + 8)
    assert Thresholds(late).answers("a").wrong_exposures == 0  # type: ignore[union-attr]
    all_hung = Thresholds(replace(votes, shown_ms=np.full(len(votes), 5000.0)))
    assert "a" in all_hung and all_hung.threshold("a") is None
    counts = all_hung.answers("a")
    assert counts and (counts.answers, counts.wrong_exposures, counts.counted) == (1600, 1600, 0)
    assert counts.too_few == np.unique(votes.participant).tolist()


def test_every_answer_counts_or_has_a_reason_why_not() -> None:
    """Some participants have too few usable answers, and some exposures are unknown."""
    rng = np.random.default_rng(12)
    votes = timed_votes(rng, {"a": 320, "b": 320}, participants=12, trials=80)
    share = np.where(votes.arm == "a", 0.45, 0)
    shown_ms = np.where(rng.random(len(votes)) < share, 5000, votes.shown_ms)
    requested = np.where(rng.random(len(votes)) < 0.05, np.nan, votes.exposure_ms)
    thresholds = Thresholds(replace(votes, shown_ms=shown_ms, exposure_ms=requested))
    for arm in ("a", "b"):
        counts, threshold = thresholds.answers(arm), thresholds.threshold(arm)
        assert counts and threshold
        rows = (votes.arm == arm) & ~np.isnan(requested)
        assert counts.unrequested == (votes.arm == arm).sum() - rows.sum() > 0
        wrong = rows & (shown_ms == 5000)
        assert counts.wrong_exposures == wrong.sum()
        usable = votes.participant[rows & ~wrong]
        people, numbers = np.unique(usable, return_counts=True)
        assert counts.too_few == people[numbers <= 40].tolist()
        assert counts.counted == numbers[numbers > 40].sum()
        assert threshold.participants == 12 - len(counts.too_few)
    assert counts.too_few == [] and 0 < len(thresholds.answers("a").too_few) < 12  # type: ignore[union-attr]
    assert thresholds.answers("elsewhere") is None


def test_votes_without_a_measurement_are_counted(votes: Votes) -> None:
    counts = Thresholds(replace(votes, shown_ms=np.full(len(votes), np.nan))).answers("best")
    assert counts and counts.unmeasured == counts.counted == 4000 and counts.wrong_exposures == 0


def test_a_staircase_that_still_moves_is_not_said_to_have_settled() -> None:
    rng = np.random.default_rng(10)
    settled = Thresholds(timed_votes(rng, {"a": 480}, participants=60, trials=60)).threshold("a")
    unsettled = Thresholds(
        timed_votes(rng, {"a": 100}, participants=60, trials=44, slope=0.1)
    ).threshold("a")
    assert settled and unsettled
    assert settled.moving <= 6 and unsettled.moving >= 40


def test_thresholds_of_few_images_differ_by_the_images_too() -> None:
    rng = np.random.default_rng(11)
    votes = timed_votes(
        rng, {"a": 400}, participants=40, trials=60, pool=30, stdev_of_images=0.5, stdev=0.05
    )
    threshold = Thresholds(votes).threshold("a")
    assert (
        threshold
        and threshold.exposure_ms.participants
        and threshold.exposure_ms.participants_and_images
    )
    participants_width, crossed_width = (
        np.log(high / low)
        for low, high in (
            threshold.exposure_ms.participants,
            threshold.exposure_ms.participants_and_images,
        )
    )
    assert crossed_width > 1.3 * participants_width


def test_what_a_staircase_drives_is_not_judged(votes: Votes, findings: Findings) -> None:
    for arm in findings.arms:
        assert (arm.equivalence, arm.chance_p_value, arm.learning) == (None, None, None)
        assert 0.7 < arm.accuracy.value < 0.85
    assert findings.comparisons == []
    scored = analyse(votes, set_scores={"set random": 1, "set best": 2})
    assert scored.error_correlation is None
    [reason] = {findings.unavailable[name] for name in ("learning curve", "equivalence to chance")}
    assert reason == "a staircase drives accuracy towards 75 %, whatever the images"
    content = json.loads(json.dumps(findings.as_json(), allow_nan=False))
    assert content["arms"][0]["threshold"]["participants"] == 40
    assert content["threshold_comparisons"][0]["p_holm"] < 0.001


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        votes = timed_votes(rng, {"arm": 400}, participants=15, trials=60, pool=40)
        threshold = Thresholds(votes).threshold("arm")
        assert threshold and threshold.exposure_ms.participants_and_images
        low, high = threshold.exposure_ms.participants_and_images
        covered += low <= 400 <= high
    assert 88 <= covered <= 100


def test_arms_that_need_the_same_are_not_said_to_differ() -> None:
    votes = timed_votes(np.random.default_rng(3), {"a": 400, "b": 400}, participants=20)
    [comparison] = analyse(votes).threshold_comparisons
    assert comparison.p_value and comparison.p_value > 0.05


def test_timed_and_untimed_arms_in_one_study(votes: Votes) -> None:
    rng = np.random.default_rng(4)
    free = simulated_votes(rng, {"free": 0.7, "freer": 0.8}, participants=10)
    random = votes.chosen(votes.arm == "random")
    result = analyse(joined([free, random]))
    assert [arm.timed for arm in result.arms] == [False, False, True]
    assert [(comparison.first, comparison.second) for comparison in result.comparisons] == [
        ("free", "freer")
    ]
    assert result.threshold_comparisons == []
    assert result.arms[0].learning and result.arms[0].equivalence
    assert "accuracy in “random” towards" in result.unavailable["learning curve"]


def test_an_untimed_study_knows_nothing_of_it() -> None:
    votes = simulated_votes(np.random.default_rng(5), {"a": 0.7, "b": 0.8}, participants=5)
    result = analyse(votes)
    assert result.threshold_comparisons == [] and result.unavailable == {}
    assert not any(arm.timed or arm.threshold for arm in result.arms)
    fixed = replace(votes, exposure_ms=np.full(len(votes), 250.0))
    assert analyse(fixed) == result, "one exposure for all drives nothing"


def test_rows_may_come_in_any_order(votes: Votes) -> None:
    shuffled = votes.chosen(np.random.default_rng(0).permutation(len(votes)))
    assert Thresholds(shuffled).threshold("best") == Thresholds(votes).threshold("best")


def test_forty_trials_are_too_few() -> None:
    votes = timed_votes(np.random.default_rng(6), {"a": 320}, participants=3, trials=40)
    [arm] = analyse(votes).arms
    assert arm.timed and arm.threshold is None
    assert (
        unavailable(votes)["exposure threshold"] == "needs a participant with more than 40 trials"
    )
    longer = timed_votes(np.random.default_rng(6), {"a": 320, "b": 320}, participants=3, trials=42)
    hung = replace(longer, shown_ms=np.where(longer.arm == "a", 5000, longer.shown_ms))
    assert unavailable(hung)["exposure threshold in “a”"] == (
        "needs a participant with more than 40 answers to images shown as long as requested"
    )
    once_more = timed_votes(np.random.default_rng(6), {"a": 320}, participants=3, trials=42)
    assert "exposure threshold" not in unavailable(once_more)


def test_thresholds_beyond_the_exposures_are_counted() -> None:
    votes = timed_votes(np.random.default_rng(7), {"hard": 1500, "easy": 60}, stdev=0.05)
    easy, hard = analyse(votes).arms
    assert easy.threshold and hard.threshold
    assert hard.threshold.beyond_longest > 30 and hard.threshold.beyond_shortest == 0
    assert easy.threshold.beyond_shortest > 30 and easy.threshold.beyond_longest == 0


def test_every_participant_has_a_threshold(votes: Votes) -> None:
    thresholds = Thresholds(votes)
    person_thresholds = thresholds.by_participant()
    assert set(person_thresholds) == set(votes.participant.tolist())
    best = [value for name, value in person_thresholds.items() if name.startswith("best")]
    mean = thresholds.threshold("best")
    assert mean and np.exp(np.mean(np.log(best))) == pytest.approx(mean.exposure_ms.value, rel=0.03)


def test_a_participant_alone_has_no_interval(votes: Votes) -> None:
    [arm] = analyse(votes.chosen(votes.participant == votes.participant[0])).arms
    assert arm.threshold and arm.threshold.exposure_ms.participants is None


def test_answers_that_fit_any_slope_leave_the_threshold_in_its_range() -> None:
    """The most likely threshold of these 20 people would be the longest there is, without the prior."""
    votes = timed_votes(np.random.default_rng(80), {"a": 700}, participants=20, trials=60)
    threshold = Thresholds(votes).threshold("a")
    assert threshold is not None and threshold.exposure_ms.value < 1000
    bounds = threshold.exposure_ms.participants_and_images
    assert bounds is not None and bounds.low < 700 < bounds.high
