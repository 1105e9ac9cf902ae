"""Settings of the players' losses: the terms, and those that users register."""

import keyword
import re
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Interval

from convergan.errors import UserError, one_line, quoted
from convergan.ranges import declarations
from convergan.recipes.base import Settings
from convergan.recipes.former import FORMER_OBJECTIVE
from convergan.recipes.terms import (
    ConditionalEntropySettings,
    ConsistencySettings,
    FeatureMatchingSettings,
    HistoricalAveragingSettings,
    MinimaxSettings,
    NonSaturatingSettings,
    PullAwaySettings,
    RealOrGeneratedSettings,
    SupervisedSettings,
    TargetSettings,
    TermSettings,
)


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(Settings, group="objective"):
    """Losses of the two players: weighted sums of the terms whose weight is not 0."""

    supervised: SupervisedSettings = field(default_factory=SupervisedSettings)
    """Cross-entropy of labelled images, in the discriminator's and the baseline's loss (Section 5)."""

    real_or_generated: RealOrGeneratedSettings = field(default_factory=RealOrGeneratedSettings)
    """Real or generated, in the discriminator's loss (Section 5), with smoothed targets (Section 3.4)."""

    feature_matching: FeatureMatchingSettings = field(default_factory=FeatureMatchingSettings)
    """Feature matching, in the generator's loss (Section 3.1)."""

    minimax: MinimaxSettings = field(default_factory=MinimaxSettings)
    """log(1 - D), in the generator's loss: the authors' choice with minibatch discrimination."""

    non_saturating: NonSaturatingSettings = field(default_factory=NonSaturatingSettings)
    """-log D, in the generator's loss; its gradient is large where the discriminator is confident."""

    target: TargetSettings = field(default_factory=TargetSettings)
    """Cross-entropy between a target and D, in the generator's loss: the authors' choice for ImageNet."""

    historical_averaging: HistoricalAveragingSettings = field(
        default_factory=HistoricalAveragingSettings
    )
    """Historical averaging, in every player's loss (Section 3.3)."""

    consistency: ConsistencySettings = field(default_factory=ConsistencySettings)
    """Consistency between a weak and a strong view of unlabelled images, in the discriminator's loss."""

    conditional_entropy: ConditionalEntropySettings = field(
        default_factory=ConditionalEntropySettings
    )
    """Entropy of predictions for unlabelled images, in the discriminator's loss."""

    pull_away: PullAwaySettings = field(default_factory=PullAwaySettings)
    """Pull-away term for the features of generated images, in the generator's loss."""

    generator_steps: Annotated[int, Interval(ge=1, le=1000)] = 1
    """Number of generator steps per discriminator step."""

    update: Literal["alternating", "simultaneous"] = "alternating"
    """Order of the updates. `alternating`: the generator is updated after the discriminator, through its new
    weights and with new noise. `simultaneous`: both are updated from one forward pass, in fp32, as the
    authors do on ImageNet."""

    shared_real_batch: bool = False
    """Use the labelled images of a step as its unlabelled images too, as on ImageNet, where all images have a
    label. Off: both are drawn separately."""

    others: tuple[TermSettings, ...] = ()  # words: a public name
    """Settings of registered terms, in the order of their names. In recipe.yaml, each is under its own
    name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, declared in declared_terms().items():
            # A derived class may have more fields, which would be lost in files.
            self._require(type(getattr(self, name)) is declared, name, declared.__name__)
        if self.update == "simultaneous":
            self._require(
                self.generator_steps == 1, "generator_steps", "1 where update is simultaneous"
            )
        names = [term.term_name for term in self.others]
        for name, settings in zip(names, self.others, strict=True):
            registered = TERM_SETTINGS.get(name)
            if registered is not type(settings):
                redefined = registered is not None and _origin(registered) == _origin(
                    type(settings)
                )
                advice = (
                    "create them again" if redefined else "register the term with register_term"
                )
                raise UserError(
                    "objective: expected settings of a term as it is registered now, got "
                    f"{quoted(settings)}; {advice}"
                )
        self._require(len(set(names)) == len(names), "others", "each term once")
        # The order in which terms are added affects the last bits of a result.
        ordered = tuple(sorted(self.others, key=lambda settings: settings.term_name))
        object.__setattr__(self, "others", ordered)

    @property
    def is_supervised(self) -> bool:
        """True if classes are learnt."""
        return self.supervised.weight > 0

    @property
    def is_simultaneous(self) -> bool:
        """True if both players are updated from one forward pass."""
        return self.update == "simultaneous"

    def terms(self) -> dict[str, TermSettings]:
        """The settings of every term by its name: the declared ones in their order, then `others`."""
        declared = {name: getattr(self, name) for name in declared_terms()}
        return declared | {term.term_name: term for term in self.others}

    def with_term(self, settings: TermSettings) -> "ObjectiveSettings":
        """The objective with these settings of a term, which replace those that it has or are added to
        `others`.

        Raises:
            UserError: the term is not registered.
        """
        if not isinstance(settings, TermSettings):
            raise UserError(f"settings: expected the settings of a term, got {quoted(settings)}")
        name = settings.term_name
        if name in declared_terms():
            changes: dict[str, Any] = {name: settings}
            return replace(self, **changes)
        registered = {term.term_name: term for term in self.others} | {name: settings}
        return replace(self, others=tuple(registered.values()))


def declared_terms() -> dict[str, type[TermSettings]]:
    """Settings classes of the terms that `ObjectiveSettings` declares, by name, in their order."""
    return {
        name: declared
        for name, declared in declarations(ObjectiveSettings).items()
        if isinstance(declared, type) and issubclass(declared, TermSettings)
    }


TERM_SETTINGS: dict[str, type[TermSettings]] = {}
"""Settings classes of all registered terms by name, without those that `ObjectiveSettings` declares."""


def register_term_settings(name: str, settings: type[TermSettings]) -> None:
    """Register the settings of a term under its name: in recipe.yaml they are `objective: {<name>: ...}`.

    A class may be registered again. One of the same module and name replaces it, as when a cell of a notebook
    runs a second time.

    Args:
        name: the term's name, in lower-case letters, digits and underscores.
        settings: a frozen dataclass derived from `TermSettings`, with a default for each of its fields.

    Raises:
        UserError: the name is not valid or is taken by another class; the class is not such a dataclass, or
            has another name already.
    """
    if not (
        isinstance(name, str)
        and re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
        and not keyword.iskeyword(name)
    ):
        raise UserError(f"name: expected the name of a term as in my_term, got {quoted(name)}")
    if not (
        isinstance(settings, type)
        and issubclass(settings, TermSettings)
        and settings is not TermSettings
        and "__dataclass_fields__" in vars(settings)
    ):
        raise UserError(
            f"settings: expected a frozen dataclass derived from TermSettings for the term {name}, "
            f"got {quoted(settings)}"
        )
    registered = TERM_SETTINGS.get(name)
    is_declared = name in declarations(ObjectiveSettings) or name in FORMER_OBJECTIVE
    if is_declared or (registered is not None and _origin(registered) != _origin(settings)):
        owner = "the objective itself" if registered is None else _origin(registered)
        raise UserError(f"name: expected one that is free, got {name}, which is taken by {owner}")
    if settings.term_name not in ("", name):
        raise UserError(
            f"settings: expected a class without a name for the term {name}, "
            f"got {_origin(settings)}, which is that of {settings.term_name}"
        )
    try:
        hash(settings())
    except TypeError as problem:
        raise UserError(
            f"settings: expected fields with defaults that can be hashed, such as tuples in place of lists,"
            f" got {_origin(settings)} for the term {name}: {one_line(problem)}"
        ) from None
    settings.take_name(name)
    TERM_SETTINGS[name] = settings


def _origin(settings: type) -> str:
    return f"{settings.__module__}.{settings.__qualname__}"
