"""What a study found: everything that its report shows, and its JSON."""

from dataclasses import dataclass
from typing import Any

from convergan.json_files import json_values
from convergan.statistics.correlation import Correlation
from convergan.statistics.equivalence import Equivalence
from convergan.statistics.intervals import Interval
from convergan.study.analysis.attention import Attention
from convergan.study.analysis.conclusion import Conclusion
from convergan.study.analysis.estimates import Estimate, Samples
from convergan.study.analysis.screens import Flagged, Screens
from convergan.study.analysis.statistics.agreement import Agreement
from convergan.study.analysis.thresholds import Threshold, ThresholdComparison


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some consecutive trials of an arm."""

    first_trial: int
    last_trial: int
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Accuracy over the trials of an arm."""

    blocks: list[Block]

    gain: Estimate | None
    """Accuracy in the second half of the trials minus that in the first; None where nobody did both."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The participants who were shown one set of images in one way."""

    name: str
    images: str

    feedback: bool | None
    """None where unknown or mixed."""

    participants: int

    votes: int | None
    """None where unknown."""

    accuracy: Estimate

    error_on_generated: Estimate | None
    """The fooling rate; None where no generated image was judged."""

    error_on_real: Estimate | None
    d_prime: Estimate | None
    criterion: Estimate | None

    conclusion: Conclusion
    """The word that every sentence about this arm uses."""

    samples: Samples | None
    """What the conclusion takes for samples: both wherever the images are known; None where there is no
    test."""

    interval: Interval | None
    """95 %, of the accuracy, over these samples: what the conclusion's sentence prints."""

    chance_p_value: float | None
    """Of an accuracy of 50 %, over these samples."""

    equivalence: Equivalence | None
    """Over these samples; the margin is that of the study, reduced to the share of people who looked."""

    attention: Attention | None
    """What people made of obvious fakes; None where it was not assessed."""

    flagged: int
    """Participants left out of all this, as their answers look careless."""

    agreement: Agreement | None
    learning: LearningCurve | None

    response_seconds: float | None
    """Median over participants of their median time to answer."""

    timed: bool
    """Images were shown for as long as a staircase said, which drives the accuracy to one value."""

    threshold: Threshold | None
    """None where not timed, and where nobody has enough trials."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm minus another."""

    first: str
    second: str

    accuracy: Estimate
    error_on_generated: Estimate | None
    error_on_real: Estimate | None

    p_value: float | None
    """Of equal accuracies, over `samples`; None where there is no test."""

    p_holm: float | None
    """Corrected for the number of comparisons of this study."""

    samples: Samples | None
    """What the test takes for samples: both wherever the images are known."""


@dataclass(frozen=True, kw_only=True)
class ImageRate:
    """How often one generated image was taken for real."""

    image: str
    votes: int
    fooled: int

    rate: float
    """Shrunk towards the mean of its set."""

    interval: Interval

    score: float | None
    """The caller's."""


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """One set of generated images, over all arms that show it."""

    name: str
    participants: int

    error: float
    """Mean over participants of the share of wrong answers."""

    error_on_generated: float | None

    score: float | None
    """The caller's."""

    images: list[ImageRate]
    """The most fooling first; empty where single votes are not known."""

    stdev_between_images: float | None
    """Of the images' true fooling rates."""

    correlation: Correlation | None
    """Of the images' scores with their shrunk fooling rates."""


@dataclass(frozen=True, kw_only=True)
class ArmWithFlagged:
    """An arm with everybody in it."""

    name: str
    participants: int
    accuracy: float
    interval: Interval | None
    conclusion: Conclusion

    threshold: Threshold | None
    """Where timed."""


@dataclass(frozen=True, kw_only=True)
class ComparisonWithFlagged:
    """One arm minus another, with everybody in them."""

    first: str
    second: str
    accuracy: float
    p_value: float | None
    p_holm: float | None


@dataclass(frozen=True, kw_only=True)
class WithFlagged:
    """What the study would say, had nobody been left out for careless answers."""

    arms: list[ArmWithFlagged]
    comparisons: list[ComparisonWithFlagged]
    threshold_comparisons: list[ThresholdComparison]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything found."""

    participants: int
    """Those who are not flagged, and those of arms where everyone is."""

    votes: int | None
    """None where unknown."""

    arms: list[Arm]

    comparisons: list[Comparison]
    """Of arms that are not timed."""

    threshold_comparisons: list[ThresholdComparison]
    """Of timed arms."""

    image_sets: list[ImageSet]

    error_correlation: Correlation | None
    """Of the sets' scores with people's errors on all images."""

    error_on_generated_correlation: Correlation | None
    """Of the sets' scores with their fooling rates."""

    unavailable: dict[str, str]
    """What cannot be known from these data, by name, and why."""

    flagged: list[Flagged]
    """Whom the screens flag: their votes are in nothing but `with_flagged`."""

    with_flagged: WithFlagged | None
    """None where nobody is flagged."""

    screens: Screens
    margin: float
    block_trials: int
    replicates: int
    permutations: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values: intervals as lists, what is not a number as null."""
        plain: dict[str, Any] = json_values(self)
        for arm, found in zip(plain["arms"], self.arms, strict=True):
            if found.equivalence is not None:
                arm["equivalence"]["indistinguishable"] = found.equivalence.equivalent
        return plain
