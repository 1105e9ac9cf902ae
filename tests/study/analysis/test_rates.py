import numpy as np
import pytest

from convergan.study.analysis.rates import Rates, rates_of
from harness.simulated_votes import simulated_votes


def test_rates_are_counted_vote_by_vote() -> None:
    votes = simulated_votes(
        np.random.default_rng(0), {"a": 0.7, "b": 0.8}, participants=4, trials=30
    )
    rates = rates_of(votes)
    assert rates.participant.tolist() == sorted(set(votes.participant.tolist()))
    for row, participant in enumerate(rates.participant):
        own = [place for place in range(len(votes)) if votes.participant[place] == participant]
        fooled = [votes.answered_generated[p] for p in own if votes.generated[p]]
        doubted = [votes.answered_generated[p] for p in own if not votes.generated[p]]
        assert rates.error_on_generated[row] == pytest.approx(1 - np.mean(fooled), abs=1e-12)
        assert rates.error_on_real[row] == pytest.approx(np.mean(doubted), abs=1e-12)
        right = [votes.answered_generated[p] == votes.generated[p] for p in own]
        assert rates.accuracy[row] == pytest.approx(np.mean(right), abs=1e-12)
        assert (rates.arm[row], rates.images[row]) == (votes.arm[own[0]], votes.images[own[0]])


def test_someone_who_saw_only_one_kind_has_no_rate_of_the_other() -> None:
    votes = simulated_votes(np.random.default_rng(0), {"a": 0.7}, participants=2, trials=30)
    first = votes.participant == votes.participant[0]
    rates = rates_of(votes.chosen(votes.generated | ~first))
    assert np.isnan(rates.error_on_real[0]) and rates.real_trials[0] == 0
    assert rates.accuracy[0] == pytest.approx(1 - rates.error_on_generated[0])


def test_without_numbers_of_trials_halves_are_assumed() -> None:
    nan, texts = np.array([np.nan]), np.array(["x"])
    errors = {"error_on_generated": np.array([0.2]), "error_on_real": np.array([0.4])}
    names = {"participant": texts, "arm": texts, "images": texts}
    assert Rates(**names, **errors, generated_trials=nan, real_trials=nan).accuracy == 0.7
    sizes = {"generated_trials": np.array([30.0]), "real_trials": np.array([10.0])}
    assert Rates(**names, **errors, **sizes).accuracy == pytest.approx(1 - (6 + 4) / 40)
