"""Numbers of fixed data and seeds: whoever changes a draw or a formula sees here which numbers change."""

import numpy as np
import pytest
import torch

from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.metric import Embedded, compare
from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.correlation import rank_correlation
from convergan.statistics.equivalence import equivalence
from convergan.statistics.intervals import expanded_percentiles, wilson
from convergan.statistics.multiplicity import holm
from convergan.statistics.student import student_mean
from convergan.study.analysis.analyse import analyse
from convergan.training.verdict import compare as compare_classifiers
from harness.simulated_votes import simulated_votes

RATES = np.random.default_rng(2).normal(0.52, 0.05, 12)


def exactly(expected: object) -> object:
    """Matches numbers except for their last digits, in which processors differ."""
    return pytest.approx(expected, rel=1e-12)


def test_bootstrap_draws() -> None:
    assert mean_replicates(RATES, np.random.default_rng(3), 3) == exactly(
        [0.5039648470810993, 0.5315770865982029, 0.5124031735244842]
    )


def test_intervals() -> None:
    assert wilson(8, 100) == exactly((0.04109346148438061, 0.14998107700948735))
    assert wilson(500, 1000) == exactly((0.4690696003681042, 0.5309303996318958))
    replicates = mean_replicates(RATES, np.random.default_rng(3), 2000)
    assert expanded_percentiles(replicates, 12) == exactly((0.4871517251075654, 0.5567884772231595))


def test_tests() -> None:
    mean = student_mean(RATES)
    assert mean is not None
    result = equivalence(mean, 0.5, 0.05)
    assert result.p_value == exactly(0.054300320229608755)
    assert result.interval == exactly((0.4942045249209363, 0.5507823897185596))
    assert mean.p_value(0.5) == exactly(0.1810717115436449)
    assert holm(np.array([0.01, 0.04, 0.03, 0.005, 0.6])) == exactly([0.04, 0.09, 0.09, 0.025, 0.6])
    scores = np.random.default_rng(4).normal(size=12)
    ranked = rank_correlation(scores, RATES, np.random.default_rng(5))
    assert ranked is not None
    assert (ranked.rho, ranked.p_value) == exactly((-0.5034965034965035, 0.09879012098790121))
    assert ranked.interval == exactly((-0.8475729712814992, 0.13861477162845054))
    small = rank_correlation(scores[:6], RATES[:6], np.random.default_rng(5))
    assert small is not None and small.p_value == exactly(0.24166666666666667)
    rng = np.random.default_rng(0)
    wrong, baseline_wrong = rng.random(400) < 0.1, rng.random(400) < 0.15
    assert compare_classifiers(wrong, baseline_wrong).p_value == exactly(0.5764306261883931)


@pytest.mark.parametrize(
    ("metric", "difference", "interval", "first_interval"),
    [
        (
            InceptionScoreMetric(splits=3),
            -0.042724589295886295,
            (-0.12846150158582367, 0.04301232299405108),
            (1.366941701705888, 1.4905164423303645),
        ),
        (
            KernelMetric(),
            -0.006867081223481453,
            (-0.22482876760858056, 0.21109460516161765),
            (-0.027289096551919023, 0.19082741924006177),
        ),
    ],
    ids=["Inception score", "KID"],
)
def test_scores(
    metric: InceptionScoreMetric | KernelMetric,
    difference: float,
    interval: tuple[float, float],
    first_interval: tuple[float, float],
) -> None:
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(120, 4, generator=generator) for _ in range(3)]
    sets = [Embedded(points, torch.cat([points, -points], dim=1)) for points in features]
    (comparison,) = compare(metric, *sets)
    # The features are of 32 bits.
    assert comparison.difference == pytest.approx(difference, rel=1e-5)
    assert comparison.interval == pytest.approx(interval, rel=1e-5)
    assert comparison.first.interval == pytest.approx(first_interval, rel=1e-5)


def test_findings_of_a_study() -> None:
    votes = simulated_votes(
        np.random.default_rng(6), {"a": 0.7, "b": 0.75}, participants=6, trials=20, pool=30
    )
    findings = analyse(votes, seed=1)
    accuracy, compared = findings.arms[0].accuracy, findings.comparisons[0]
    assert accuracy.participants == exactly((0.6333333333333333, 0.8057033338088179))
    assert accuracy.participants_and_images == exactly((0.6035315675027568, 0.8131350991639095))
    assert accuracy.naive == exactly((0.6215576502025921, 0.7821843637896146))
    assert compared.accuracy.participants == exactly((-0.16403666714215787, 0.09166666666666656))
    assert compared.p_value == exactly(0.5805723223742445)
    image = findings.image_sets[0].images[0]
    assert (image.image, image.rate) == ("set a/11", exactly(0.33617683634670104))
    assert image.interval == exactly((0.15574965831671206, 0.6413874286024589))
