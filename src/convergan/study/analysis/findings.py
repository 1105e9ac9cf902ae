"""The findings of a study: everything that its report shows, and their JSON."""

from dataclasses import dataclass
from typing import Any

from convergan.json_files import json_values
from convergan.statistics.correlation import Correlation
from convergan.statistics.equivalence import Equivalence
from convergan.statistics.intervals import Interval
from convergan.study.analysis.attention import Attention
from convergan.study.analysis.conclusion import Conclusion
from convergan.study.analysis.estimates import MeanEstimate, Samples
from convergan.study.analysis.exposures import AnswerCounts
from convergan.study.analysis.screens import Flagged, Screens
from convergan.study.analysis.statistics.agreement import Agreement
from convergan.study.analysis.thresholds import Threshold, ThresholdComparison


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of consecutive trials of an arm."""

    first_trial: int
    """Number of its first trial, from 1."""

    last_trial: int
    accuracy: MeanEstimate


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """The accuracy of an arm in the course of its trials."""

    blocks: list[Block]

    gain: MeanEstimate | None
    """Accuracy in the second half of the trials minus that in the first; None if no one answered in both."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The findings about an arm: the participants who were shown one set of images in one way."""

    name: str

    images: str
    """Name of the set of generated images that the arm shows."""

    feedback: bool | None
    """Feedback after each answer; None where unknown, or where only some participants had it."""

    participants: int

    votes: int | None
    """Number of votes; None where unknown."""

    accuracy: MeanEstimate
    """Mean share of right answers."""

    error_on_generated: MeanEstimate | None
    """Mean share of generated images taken for real, the fooling rate; None where none was judged."""

    error_on_real: MeanEstimate | None
    """Mean share of real images taken for generated; None where none was judged."""

    d_prime: MeanEstimate | None
    """Mean d' of signal detection, 0 for guesses; None where unknown."""

    criterion: MeanEstimate | None
    """Mean criterion of signal detection, above 0 for a bias towards "real"; None where unknown."""

    conclusion: Conclusion
    """Conclusion from the accuracy, which every sentence about this arm uses."""

    samples: Samples | None
    """Samples of the conclusion: participants and images wherever the images are known; None without a
    test."""

    interval: Interval | None
    """95 % interval of the accuracy over these samples, which the conclusion's sentence prints."""

    chance_p_value: float | None
    """p-value of an accuracy of 50 %, over these samples."""

    equivalence: Equivalence | None
    """Test of equivalence to chance over these samples; its margin is that of the study, times the share of
    votes from people who looked."""

    attention: Attention | None
    """Answers to obvious fakes; None where attention was not assessed."""

    flagged: int
    """Number of participants who are left out because their answers look careless."""

    agreement: Agreement | None
    """Krippendorff's alpha; None where it is undefined."""

    learning: LearningCurve | None
    """Learning curve; None where timed, and where only rates are known."""

    response_seconds: float | None
    """Median over participants of their median response time, in seconds, or of their mean one where single
    votes are unknown; None where unknown."""

    timed: bool
    """Exposures were chosen by a staircase, which drives the accuracy to its target."""

    threshold: Threshold | None
    """Exposure threshold; None where not timed, and where no participant has enough usable answers."""

    timed_answers: AnswerCounts | None
    """Numbers of answers that the threshold rests on or leaves out; None where not timed."""


@dataclass(frozen=True, kw_only=True)
class AccuracyComparison:
    """The difference between two arms: the first minus the second."""

    first: str
    second: str

    accuracy: MeanEstimate
    """Difference in mean accuracy, -1 to 1."""

    error_on_generated: MeanEstimate | None
    error_on_real: MeanEstimate | None

    p_value: float | None
    """p-value of equal accuracies, over `samples`; None without a test."""

    p_holm: float | None
    """The p-value corrected for the number of comparisons in this study (Holm)."""

    samples: Samples | None
    """Samples of the test: participants and images wherever the images are known; None without a test."""


@dataclass(frozen=True, kw_only=True)
class ImageRate:
    """The fooling rate of one generated image."""

    image: str
    """Id of the image."""

    votes: int
    """Number of votes on it."""

    fooled: int
    """Number of votes that took it for real."""

    rate: float
    """Fooling rate, 0 to 1, shrunk towards the mean of its set."""

    interval: Interval
    """95 % posterior interval of the rate."""

    score: float | None
    """Score given to the analysis; None without one."""


@dataclass(frozen=True, kw_only=True)
class GeneratedImages:
    """The findings about a set of generated images, over all arms that show it."""

    name: str
    participants: int

    error: float
    """Mean over participants of the share of wrong answers, 0 to 1."""

    error_on_generated: float | None
    """Mean over participants of the fooling rate, 0 to 1; None where unknown."""

    score: float | None
    """Score given to the analysis; None without one."""

    images: list[ImageRate]
    """Images in descending order of their fooling rates; empty where single votes are unknown."""

    stdev_between_images: float | None
    """Estimated standard deviation of the images' true fooling rates; None where unknown."""

    correlation: Correlation | None
    """Rank correlation of the images' scores with their shrunk fooling rates; None without scores."""


@dataclass(frozen=True, kw_only=True)
class ArmWithFlagged:
    """An arm with its flagged participants."""

    name: str
    participants: int

    accuracy: float
    """Mean share of right answers, 0 to 1."""

    interval: Interval | None
    """95 % interval of the accuracy; None where it cannot be computed."""

    conclusion: Conclusion

    threshold: Threshold | None
    """Exposure threshold; None where not timed."""


@dataclass(frozen=True, kw_only=True)
class ComparisonWithFlagged:
    """The difference between two arms with their flagged participants: the first minus the second."""

    first: str
    second: str

    accuracy: float
    """Difference in mean accuracy, -1 to 1."""

    p_value: float | None
    """p-value of equal accuracies; None without a test."""

    p_holm: float | None
    """The p-value corrected for the number of comparisons in this study (Holm)."""


@dataclass(frozen=True, kw_only=True)
class WithFlagged:
    """The findings as they would be if no one were left out for careless answers."""

    arms: list[ArmWithFlagged]
    comparisons: list[ComparisonWithFlagged]
    threshold_comparisons: list[ThresholdComparison]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All findings of a study."""

    participants: int
    """Number of participants who are not flagged, and of those in arms where everyone is."""

    votes: int | None
    """Number of their votes; None where unknown."""

    arms: list[Arm]

    comparisons: list[AccuracyComparison]
    """Comparisons of the accuracies of arms that are not timed."""

    threshold_comparisons: list[ThresholdComparison]
    """Comparisons of the thresholds of timed arms."""

    image_sets: list[GeneratedImages]

    error_correlation: Correlation | None
    """Rank correlation of the sets' scores with people's errors on all images; None without a ranking."""

    error_on_generated_correlation: Correlation | None
    """Rank correlation of the sets' scores with their fooling rates; None without a ranking."""

    unavailable: dict[str, str]
    """Numbers that these data cannot give: their names and the reasons."""

    flagged: list[Flagged]
    """Participants whom the screens flag; their votes are only in `with_flagged`."""

    with_flagged: WithFlagged | None
    """Findings with the flagged participants; None where no one is flagged."""

    screens: Screens

    margin: float
    """Largest distance from an accuracy of 50 % that counts as chance."""

    block_trials: int
    """Length of a block of the learning curves, in trials."""

    replicates: int
    """Number of bootstrap replicates."""

    permutations: int
    """Number of permutations of a test of a rank correlation."""

    seed: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON: intervals as lists, NaN and None as null."""
        plain: dict[str, Any] = json_values(self)
        for plain_arm, arm in zip(plain["arms"], self.arms, strict=True):
            if arm.equivalence is not None:
                plain_arm["equivalence"]["indistinguishable"] = arm.equivalence.equivalent
        return plain
