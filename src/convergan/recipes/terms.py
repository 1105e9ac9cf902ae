"""Settings of the terms of the players' losses, one dataclass for each term."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from convergan.recipes.base import Settings

Weight = Annotated[float, Interval(ge=0, le=1e6)]
"""Factor of a term's value in the sum of a loss."""


@dataclass(frozen=True, kw_only=True)
class TermSettings(Settings):
    """Base of the settings of one term. `register_term` adds a term of your own."""

    term_name: ClassVar[str] = ""
    """Name of the term: `objective.<name>.weight` is its weight."""

    weight: Weight = 0.0
    """Weight of the term; 0 is off."""

    def __init_subclass__(cls, term: str = "") -> None:
        super().__init_subclass__()
        cls.take_name(term)

    @classmethod
    def take_name(cls, term: str) -> None:
        """Set the name of the term, which messages put before the names of its fields."""
        cls.term_name = term
        cls._group = f"objective.{term.replace('_', '-')}." if term else ""


@dataclass(frozen=True, kw_only=True)
class RampedTermSettings(TermSettings):
    """Base of the settings of a term whose weight rises at the start of a run."""

    ramp: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Fraction of the run over which the weight rises linearly from 0, because early predictions for
    unlabelled images are often wrong. 0: the full weight from the start."""


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings(TermSettings, term="supervised"):
    """Settings of the supervised loss of the labelled images (Section 5)."""

    weight: Weight = 1.0
    """Weight of the cross-entropy of the labelled images. 0: there are no classes and labels are not used;
    the discriminator only distinguishes real from generated images."""

    include_generated: bool = False
    """Take the softmax over the classes and "generated", as in the authors' code for ImageNet, so that this
    term also teaches that labelled images are real. Off: over the classes only, given that an image is
    real."""

    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes. `balanced`: each labelled image has the weight n / (K n_k), where n_k of the n
    labelled images belong to its class, so that every class contributes equally to the loss."""


@dataclass(frozen=True, kw_only=True)
class RealOrGeneratedSettings(TermSettings, term="real_or_generated"):
    """Settings of the loss for real or generated (Section 5)."""

    weight: Weight = 0.5
    """Weight of the cross-entropy of unlabelled and generated images. Eq. 5 has 1, the authors' code 0.5."""

    positive_target: Annotated[float, Interval(ge=0.5, le=1)] = 1.0
    """Target of the discriminator for real images; below 1: one-sided label smoothing (Section 3.4)."""


@dataclass(frozen=True, kw_only=True)
class FeatureMatchingSettings(TermSettings, term="feature_matching"):
    """Settings of feature matching (Section 3.1)."""

    weight: Weight = 1.0
    """Weight of the distance between real and generated features; 0 is off."""

    distance: Literal["squared", "absolute"] = "squared"
    """Distance between the batch means of the features, averaged over the features as the authors do."""


@dataclass(frozen=True, kw_only=True)
class MinimaxSettings(TermSettings, term="minimax"):
    """Settings of log(1 - D), the minimax game's loss of the generator."""

    weight: Weight = 0.0
    """Weight of log(1 - D); 0 is off."""


@dataclass(frozen=True, kw_only=True)
class NonSaturatingSettings(TermSettings, term="non_saturating"):
    """Settings of -log D, the non-saturating loss of the generator."""

    weight: Weight = 0.0
    """Weight of -log D; 0 is off."""


@dataclass(frozen=True, kw_only=True)
class TargetSettings(TermSettings, term="target"):
    """Settings of the generator's loss with a target for the discriminator's output."""

    weight: Weight = 0.0
    """Weight of the cross-entropy between `probability` and D; 0 is off."""

    probability: Annotated[float, Interval(gt=0, le=1)] = 0.375
    """Target of the generator for D on generated images. A discriminator with a smoothed positive target that
    cannot distinguish them from real images outputs half of that target (Section 3.4)."""


@dataclass(frozen=True, kw_only=True)
class HistoricalAveragingSettings(TermSettings, term="historical_averaging"):
    """Settings of historical averaging (Section 3.3)."""

    weight: Weight = 0.0
    """Weight of the squared distance between a player's parameters and the mean of their past values; 0 is
    off."""


@dataclass(frozen=True, kw_only=True)
class ConsistencySettings(RampedTermSettings, term="consistency"):
    """Settings of consistency between views of unlabelled images (FixMatch: Sohn et al., 2020)."""

    weight: Weight = 0.0
    """Weight of the cross-entropy of the strong view against the class of the weak view; 0 is off."""

    targets: Literal["weak", "teacher"] = "weak"
    """Network that predicts the class of the weak view, which is the target for the strong view. `weak`: the
    discriminator itself; `teacher`: its EMA weights, at the cost of one more forward pass."""

    threshold: Annotated[float, Interval(ge=0, le=1)] = 0.95
    """Minimum probability of the weak view's class; images below it count as 0. With `adaptive_threshold`:
    the maximum threshold of a class."""

    adaptive_threshold: bool = False
    """Use a threshold for each class that starts at 1 / K and rises with the mean confidence, up to
    `threshold` (FreeMatch: Wang et al., 2022). More images then count early in training."""

    temperature: Annotated[float, Interval(ge=0, le=100)] = 0.0
    """Temperature of the targets. 0: the target is only the most probable class. Above 0: the target is the
    distribution, with the logits divided by the temperature."""

    distribution_alignment: bool = False
    """Multiply the target probability of each class by its frequency among the labels, divide it by its
    frequency among the targets so far, and normalize (ReMixMatch: Berthelot et al., 2019)."""

    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Momentum of the running means of `adaptive_threshold` and `distribution_alignment`, which average over
    about 1 / (1 - momentum) steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            self.threshold > 0 or not self.adaptive_threshold,
            "threshold",
            "more than 0 where adaptive_threshold is on",
        )


@dataclass(frozen=True, kw_only=True)
class ConditionalEntropySettings(RampedTermSettings, term="conditional_entropy"):
    """Settings of the entropy of predictions for unlabelled images (Springenberg, 2015; Dai et al., 2017)."""

    weight: Weight = 0.0
    """Weight of the mean entropy of p(y | x) over the unlabelled images; 0 is off."""


@dataclass(frozen=True, kw_only=True)
class PullAwaySettings(TermSettings, term="pull_away"):
    """Settings of the pull-away term (Zhao et al., 2016; Dai et al., 2017)."""

    weight: Weight = 0.0
    """Weight of the mean squared cosine between the features of generated images; 0 is off."""
