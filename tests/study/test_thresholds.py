"""Timed arms: what people needed to see is found, and compared."""

import json
from dataclasses import replace

import numpy as np
import pytest

from convergan.study.analysis import analyse
from convergan.study.findings import Findings
from convergan.study.staircase import LONGEST_MS, SHORTEST_MS
from convergan.study.thresholds import Thresholds, timed_arms
from convergan.study.unavailable import unavailable
from convergan.study.votes import Votes
from simulated_votes import joined, simulated_votes, timed_votes


@pytest.fixture(scope="module")
def votes() -> Votes:
    return timed_votes(np.random.default_rng(1), {"random": 320, "best": 515})


@pytest.fixture(scope="module")
def findings(votes: Votes) -> Findings:
    return analyse(votes)


def test_the_exposure_tells_what_accuracy_hides(findings: Findings) -> None:
    for arm, truth in zip(findings.arms, (515, 320), strict=True):
        assert arm.timed and arm.threshold and arm.threshold.participants == 40
        bounds = arm.threshold.exposure_ms.participants
        assert bounds and bounds[0] < arm.threshold.exposure_ms.value < bounds[1]
        assert abs(arm.threshold.exposure_ms.value - truth) < 40
    [comparison] = findings.threshold_comparisons
    assert (comparison.first, comparison.second) == ("best", "random")
    assert comparison.p_value == comparison.p_holm and comparison.p_value < 0.001  # type: ignore[operator]
    bounds = comparison.exposure_ms.participants
    assert bounds and 100 < bounds[0] < comparison.exposure_ms.value < bounds[1] < 290


def test_what_a_staircase_drives_is_not_judged(votes: Votes, findings: Findings) -> None:
    for arm in findings.arms:
        assert (arm.equivalence, arm.chance_p_value, arm.learning) == (None, None, None)
        assert 0.7 < arm.accuracy.value < 0.85
    assert findings.comparisons == []
    scored = analyse(votes, set_scores={"set random": 1, "set best": 2})
    assert scored.error_correlation is None
    [why] = {findings.unavailable[name] for name in ("learning curve", "equivalence to chance")}
    assert why == "a staircase drives accuracy towards 75 %, whatever the images"
    content = json.loads(json.dumps(findings.as_json(), allow_nan=False))
    assert content["arms"][0]["threshold"]["participants"] == 40
    assert content["threshold_comparisons"][0]["p_holm"] < 0.001


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    runs, people, trials = 200, 25, 100
    votes = timed_votes(rng, {"arm": 400}, participants=runs * people, trials=trials)
    covered = 0
    for run in range(runs):
        rows = slice(run * people * trials, (run + 1) * people * trials)
        found = Thresholds(votes.chosen(rows), rng).of("arm")  # type: ignore[arg-type]
        assert found and found.exposure_ms.participants
        low, high = found.exposure_ms.participants
        covered += low <= 400 <= high
    assert 0.9 <= covered / runs <= 0.99


def test_arms_that_need_the_same_are_not_said_to_differ() -> None:
    votes = timed_votes(np.random.default_rng(3), {"a": 400, "b": 400}, participants=20)
    [comparison] = analyse(votes).threshold_comparisons
    assert comparison.p_value and comparison.p_value > 0.05


def test_timed_and_untimed_arms_in_one_study(votes: Votes) -> None:
    rng = np.random.default_rng(4)
    free = simulated_votes(rng, {"free": 0.7, "freer": 0.8}, participants=10)
    random = votes.chosen(votes.arm == "random")
    found = analyse(joined([free, random]))
    assert [arm.timed for arm in found.arms] == [False, False, True]
    assert [(each.first, each.second) for each in found.comparisons] == [("free", "freer")]
    assert found.threshold_comparisons == []
    assert found.arms[0].learning and found.arms[0].equivalence
    assert "accuracy in random towards" in found.unavailable["learning curve"]


def test_an_untimed_study_knows_nothing_of_it() -> None:
    votes = simulated_votes(np.random.default_rng(5), {"a": 0.7, "b": 0.8}, participants=5)
    found = analyse(votes)
    assert found.threshold_comparisons == [] and found.unavailable == {}
    assert not any(arm.timed or arm.threshold for arm in found.arms)
    fixed = replace(votes, exposure_ms=np.full(len(votes), 250.0))
    assert analyse(fixed) == found, "one exposure for all drives nothing"


def test_rows_may_come_in_any_order(votes: Votes) -> None:
    shuffled = votes.chosen(np.random.default_rng(0).permutation(len(votes)))
    assert timed_arms(shuffled) == timed_arms(votes)


def test_forty_trials_are_too_few() -> None:
    votes = timed_votes(np.random.default_rng(6), {"a": 320}, participants=3, trials=40)
    [arm] = analyse(votes).arms
    assert arm.timed and arm.threshold is None
    assert unavailable(votes)["exposure threshold"] == "needs more than 40 trials of a participant"
    once_more = timed_votes(np.random.default_rng(6), {"a": 320}, participants=3, trials=42)
    assert "exposure threshold" not in unavailable(once_more)


def test_staircases_that_came_to_their_ends_are_counted() -> None:
    votes = timed_votes(np.random.default_rng(7), {"hard": 1000, "easy": 100}, stdev_ms=10)
    easy, hard = analyse(votes).arms
    assert easy.threshold and hard.threshold
    assert hard.threshold.reached_longest > 30 and hard.threshold.reached_shortest == 0
    assert easy.threshold.reached_shortest > 30 and easy.threshold.reached_longest == 0
    assert easy.threshold.exposure_ms.value > SHORTEST_MS
    assert hard.threshold.exposure_ms.value < LONGEST_MS


def test_a_participant_alone_has_no_interval(votes: Votes) -> None:
    [arm] = analyse(votes.chosen(votes.participant == votes.participant[0])).arms
    assert arm.threshold and arm.threshold.exposure_ms.participants is None
