"""The settings of each term of the players' losses, one dataclass a term."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from convergan.recipes.base import Settings

Weight = Annotated[float, Interval(ge=0, le=1e6)]
"""What a term's value is multiplied by before the terms of a loss are added."""


@dataclass(frozen=True, kw_only=True)
class TermSettings(Settings):
    """Base of the settings of one term; `register_term` makes one of your own known."""

    term_name: ClassVar[str] = ""
    """Name of the term: `objective.<name>.weight` is its weight."""

    weight: Weight = 0.0
    """Weight of the term; 0 is off."""

    def __init_subclass__(cls, term: str = "") -> None:
        super().__init_subclass__()
        cls.take_name(term)

    @classmethod
    def take_name(cls, term: str) -> None:
        """Makes the class that of the term of this name, which messages then put before its fields."""
        cls.term_name = term
        cls._group = f"objective.{term.replace('_', '-')}." if term else ""


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings(TermSettings, term="supervised"):
    """Settings of the classes that labelled images teach (Section 5)."""

    weight: Weight = 1.0
    """Weight of the cross-entropy of the labelled images. 0: there are no classes, the discriminator tells
    real from generated images alone, and labels are not used."""


@dataclass(frozen=True, kw_only=True)
class RealOrGeneratedSettings(TermSettings, term="real_or_generated"):
    """Settings of the judgement, real or generated (Section 5)."""

    weight: Weight = 0.5
    """Weight of the cross-entropy of unlabelled and generated images. Eq. 5 has 1, the authors' code 0.5."""

    positive_target: Annotated[float, Interval(ge=0.5, le=1)] = 1.0
    """What the discriminator is to say of real images: below 1 is one-sided label smoothing
    (Section 3.4)."""


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
    """Settings of the generator's target for what the discriminator says."""

    weight: Weight = 0.0
    """Weight of the cross-entropy between `probability` and D; 0 is off."""

    probability: Annotated[float, Interval(gt=0, le=1)] = 0.375
    """What the generator makes the discriminator say of generated images. A smoothed discriminator that
    cannot tell them from real ones says half of its positive target (Section 3.4)."""


@dataclass(frozen=True, kw_only=True)
class HistoricalAveragingSettings(TermSettings, term="historical_averaging"):
    """Settings of historical averaging (Section 3.3)."""

    weight: Weight = 0.0
    """Weight of the squared distance between a player's parameters and the mean of their past values; 0 is
    off."""
