"""Attention, measured by positive controls: obvious fakes, which anybody who looks calls generated."""

from dataclasses import dataclass

import numpy as np

from convergan.statistics.intervals import Interval
from convergan.statistics.levels import SIGNIFICANCE
from convergan.study.analysis.rates import CHANCE
from convergan.study.analysis.statistics.crossed import (
    Crossed,
    crossed_estimate,
    independent_variance,
)
from convergan.study.analysis.votes import Votes


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The answers of an arm's participants to the obvious fakes among their trials."""

    votes: int
    """Number of votes on obvious fakes."""

    recognized: float
    """Mean over participants of the share of controls that they called generated, 0 to 1."""

    interval: Interval
    """95 % interval of `recognized`, over participants."""

    share: float
    """Lower bound of the share of votes that came from people who looked, 0 to 1: 2 r - 1, with r the lower
    end of the one-sided 95 % interval of `recognized`, if people who do not look are right half of the
    time."""


def attention(votes: Votes) -> Attention | None:
    """Assess the votes of one arm; None where fewer than two participants saw controls."""
    controls = votes.chosen(votes.control)
    names, place = np.unique(controls.participant, return_inverse=True)
    if len(names) < 2:
        return None
    shares = np.bincount(place[~controls.wrong], minlength=len(names)) / np.bincount(place)
    no_images = np.empty(0)
    estimate = crossed_estimate(
        Crossed(
            numbers=shares,
            image=no_images.astype(str),
            stratum=no_images.astype(str),
            effects=no_images,
            least_variance=independent_variance(float(controls.wrong.sum()), len(controls)),
        )
    )
    if estimate is None:
        return None
    low = estimate.interval(1 - 2 * SIGNIFICANCE).low
    return Attention(
        votes=len(controls),
        recognized=estimate.value,
        interval=estimate.interval(possible=Interval(0, 1)),
        share=float(np.clip((low - CHANCE) / (1 - CHANCE), 0, 1)),
    )
