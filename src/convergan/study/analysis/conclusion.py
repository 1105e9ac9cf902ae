"""The conclusion about an arm, drawn from its accuracy."""

from typing import Literal

from convergan.statistics.equivalence import Equivalence
from convergan.statistics.levels import SIGNIFICANCE
from convergan.statistics.student import Student
from convergan.study.analysis.attention import Attention
from convergan.study.analysis.rates import CHANCE

Conclusion = Literal[
    "better than chance",
    "better than chance, by less than the margin",
    "worse than chance",
    "indistinguishable",
    "indistinguishable, attention not assessed",
    "undecided",
    "everyone flagged",
    "not applicable",
]
"""Words for a conclusion: in JSON, in reports and in documentation."""


def conclude(
    accuracy: Student | None, equivalence: Equivalence | None, attention: Attention | None
) -> Conclusion:
    """Draw the conclusion from the accuracy of an arm without a staircase.

    "Indistinguishable" requires a significant test of equivalence and obvious fakes that people recognized:
    the margin of that test has been reduced to the share of people who looked. Without obvious fakes the
    conclusion adds "attention not assessed".
    """
    equivalent = equivalence is not None and equivalence.equivalent
    if accuracy is not None and accuracy.p_value(CHANCE) < SIGNIFICANCE:
        if accuracy.value < CHANCE:
            return "worse than chance"
        # With many votes even a difference too small to matter is significant.
        if equivalent:
            return "better than chance, by less than the margin"
        return "better than chance"
    if equivalent:
        return "indistinguishable" if attention else "indistinguishable, attention not assessed"
    return "undecided"
