import itertools

import numpy as np

from convergan.statistics.multiplicity import holm


def test_holm_is_bonferroni_on_every_subset() -> None:
    """Closed testing: a hypothesis falls when Bonferroni rejects every set that holds it."""
    p_values = np.array([0.01, 0.04, 0.03, 0.005, 0.6])
    places = range(len(p_values))
    subsets = [
        list(subset) for size in range(1, 6) for subset in itertools.combinations(places, size)
    ]
    expected = [
        min(1, max(len(s) * p_values[s].min() for s in subsets if place in s)) for place in places
    ]
    np.testing.assert_allclose(holm(p_values), expected)
    assert holm(np.array([])).size == 0
