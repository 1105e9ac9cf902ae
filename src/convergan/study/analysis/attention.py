"""Whether people did the task, by positive controls: obvious fakes, which who looks calls generated."""

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
    """What the participants of an arm made of the obvious fakes among their trials."""

    votes: int

    recognized: float
    """Mean over participants of the share of controls that they called generated."""

    interval: Interval
    """95 %, over participants."""

    share: float
    """At least so much of the votes came from people who looked, 0 to 1: 2 r - 1, with r the lower end of
    the one-sided 95 % interval of `recognized`, if who does not look is right half of the time."""


def attention(votes: Votes) -> Attention | None:
    """Of the votes of one arm; None without controls, or with those of fewer than two participants."""
    controls = votes.chosen(votes.control)
    names, place = np.unique(controls.participant, return_inverse=True)
    if len(names) < 2:
        return None
    shares = np.bincount(place[~controls.wrong], minlength=len(names)) / np.bincount(place)
    nothing = np.empty(0)
    found = crossed_estimate(
        Crossed(
            numbers=shares,
            image=nothing.astype(str),
            stratum=nothing.astype(str),
            effects=nothing,
            least_variance=independent_variance(float(controls.wrong.sum()), len(controls)),
        )
    )
    if found is None:
        return None
    low = found.interval(1 - 2 * SIGNIFICANCE).low
    return Attention(
        votes=len(controls),
        recognized=found.value,
        interval=found.interval(possible=Interval(0, 1)),
        share=float(np.clip((low - CHANCE) / (1 - CHANCE), 0, 1)),
    )
