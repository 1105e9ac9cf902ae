import numpy as np
import pytest

from convergan.study.analysis.statistics.learning import learning
from convergan.study.analysis.votes import Votes
from harness.simulated_votes import simulated_votes


def test_blocks_and_gain_by_hand() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"arm": 0.7}, participants=4, trials=25)
    curves = learning(votes, 10)
    assert curves.first_trial.tolist() == [1, 11, 21] and curves.last_trial.tolist() == [10, 20, 25]
    for row, participant in enumerate(np.unique(votes.participant)):
        own = votes.chosen(votes.participant == participant)
        right = dict(zip(own.trial.tolist(), (~own.wrong).tolist(), strict=True))
        blocks = [range(1, 11), range(11, 21), range(21, 26)]
        expected = [np.mean([right[trial] for trial in block]) for block in blocks]
        np.testing.assert_allclose(curves.accuracy[row], expected)
        first = np.mean([right[trial] for trial in range(1, 14)])
        second = np.mean([right[trial] for trial in range(14, 26)])
        assert curves.gain[row] == pytest.approx(second - first)


def test_who_stopped_early_has_no_number_for_what_is_missing() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"arm": 0.7}, participants=3, trials=40)
    dropout = votes.participant == votes.participant[0]
    remaining: Votes = votes.chosen(~dropout | (votes.trial <= 15))
    curves = learning(remaining, 10)
    assert np.isnan(curves.accuracy[0, 2:]).all() and not np.isnan(curves.accuracy[1:]).any()
    assert np.isnan(curves.gain[0]) and not np.isnan(curves.gain[1:]).any()


def test_learning_that_is_there_is_seen() -> None:
    votes = simulated_votes(
        np.random.default_rng(0), {"arm": 0.7}, participants=60, learning=0.2, stdev_of_images=0
    )
    curves = learning(votes)
    assert curves.gain.mean() == pytest.approx(0.1, abs=0.03)
    assert curves.accuracy[:, -1].mean() - curves.accuracy[:, 0].mean() > 0.1
