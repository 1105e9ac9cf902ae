"""What the two players minimize, as lists of terms built from a recipe."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from convergan.distributed import mean_over_ranks
from convergan.recipes.objective import ObjectiveSettings
from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.generator_losses import (
    minimax_generator_loss,
    non_saturating_generator_loss,
    target_generator_loss,
)
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss


class DiscriminatorStep(NamedTuple):
    """What the discriminator's terms look at. `labelled_logits` and `labels` are None without labels."""

    labelled_logits: Tensor | None
    labels: Tensor | None
    unlabelled_logits: Tensor
    generated_logits: Tensor


class BaselineStep(NamedTuple):
    """What the baseline's terms look at."""

    labelled_logits: Tensor
    labels: Tensor


class GeneratorStep(NamedTuple):
    """What the generator's terms look at. `unlabelled_features` is None where no term compares them."""

    unlabelled_features: Tensor | None
    generated_features: Tensor
    generated_logits: Tensor


Step = DiscriminatorStep | BaselineStep | GeneratorStep
DiscriminatorTerm = Callable[[DiscriminatorStep], dict[str, Tensor]]
BaselineTerm = Callable[[BaselineStep], dict[str, Tensor]]
GeneratorTerm = Callable[[GeneratorStep], dict[str, Tensor]]
"""A term gives its weighted parts by name; a player minimizes the sum of all its terms' parts."""


def discriminator_terms(
    settings: ObjectiveSettings, history: HistoricalAveraging | None
) -> list[DiscriminatorTerm]:
    """The terms of the discriminator's loss (Sections 3.3, 3.4 and 5)."""

    def semi_supervised(step: DiscriminatorStep) -> dict[str, Tensor]:
        assert step.labelled_logits is not None and step.labels is not None
        loss = semi_supervised_loss(
            step.labelled_logits,
            step.labels,
            step.unlabelled_logits,
            step.generated_logits,
            unsupervised_weight=settings.real_or_generated.weight,
        )
        return loss._replace(supervised=settings.supervised.weight * loss.supervised)._asdict()

    def smoothed(step: DiscriminatorStep) -> dict[str, Tensor]:
        loss = one_sided_smoothing_loss(
            real_probability_logit(step.unlabelled_logits),
            real_probability_logit(step.generated_logits),
            positive_target=settings.real_or_generated.positive_target,
        )
        return {"real_or_generated": settings.real_or_generated.weight * loss}

    def supervised(step: DiscriminatorStep) -> dict[str, Tensor]:
        assert step.labelled_logits is not None and step.labels is not None
        loss = F.cross_entropy(step.labelled_logits, step.labels)
        return {"supervised": settings.supervised.weight * loss}

    terms: list[DiscriminatorTerm]
    if not settings.is_supervised:
        # One class: its logsumexp is its logit, and the loss that of Goodfellow et al. (2014).
        terms = [smoothed]
    elif settings.real_or_generated.positive_target < 1:
        terms = [supervised, smoothed]
    else:
        terms = [semi_supervised]
    if history is not None:
        terms.append(_historical_averaging(history, settings.historical_averaging.weight))
    return terms


def baseline_terms(
    settings: ObjectiveSettings, history: HistoricalAveraging | None
) -> list[BaselineTerm]:
    """The terms of the baseline's loss: the discriminator's, but for what needs unlabelled images."""

    def supervised(step: BaselineStep) -> dict[str, Tensor]:
        loss = F.cross_entropy(step.labelled_logits, step.labels)
        return {"supervised": settings.supervised.weight * loss}

    terms: list[BaselineTerm] = [supervised]
    if history is not None:
        terms.append(_historical_averaging(history, settings.historical_averaging.weight))
    return terms


def generator_terms(
    settings: ObjectiveSettings, history: HistoricalAveraging | None
) -> list[GeneratorTerm]:
    """The terms of the generator's loss (Sections 3.1 to 3.3)."""

    def feature_matching(step: GeneratorStep) -> dict[str, Tensor]:
        assert step.unlabelled_features is not None
        # Eq. 1 compares means over the whole batch, which several ranks hold together.
        loss = feature_matching_loss(
            mean_over_ranks(step.unlabelled_features),
            mean_over_ranks(step.generated_features),
            distance=settings.feature_matching.distance,
            reduction="mean",
        )
        return {"feature_matching": settings.feature_matching.weight * loss}

    def minimax(step: GeneratorStep) -> dict[str, Tensor]:
        logits = real_probability_logit(step.generated_logits)
        return {"minimax": settings.minimax.weight * minimax_generator_loss(logits)}

    def non_saturating(step: GeneratorStep) -> dict[str, Tensor]:
        logits = real_probability_logit(step.generated_logits)
        loss = non_saturating_generator_loss(logits)
        return {"non_saturating": settings.non_saturating.weight * loss}

    def target(step: GeneratorStep) -> dict[str, Tensor]:
        logits = real_probability_logit(step.generated_logits)
        loss = target_generator_loss(logits, settings.target.probability)
        return {"target": settings.target.weight * loss}

    terms: list[GeneratorTerm] = [
        term
        for term, weight in (
            (feature_matching, settings.feature_matching.weight),
            (minimax, settings.minimax.weight),
            (non_saturating, settings.non_saturating.weight),
            (target, settings.target.weight),
        )
        if weight > 0
    ]
    if history is not None:
        terms.append(_historical_averaging(history, settings.historical_averaging.weight))
    return terms


def _historical_averaging(
    history: HistoricalAveraging, weight: float
) -> Callable[[Step], dict[str, Tensor]]:
    def historical_averaging(_: Step) -> dict[str, Tensor]:
        return {"historical_averaging": weight * history.penalty()}

    return historical_averaging


def parts_of(
    terms: list[DiscriminatorTerm] | list[BaselineTerm] | list[GeneratorTerm], step: Step
) -> dict[str, Tensor]:
    """All parts of a loss by name; their sum is what the player minimizes."""
    parts: dict[str, Tensor] = {}
    for term in terms:
        parts.update(term(step))  # type: ignore[arg-type]
    return parts


def total(parts: dict[str, Tensor]) -> Tensor:
    """The sum of a loss's parts."""
    return torch.stack(list(parts.values())).sum()
