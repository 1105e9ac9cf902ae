"""The losses of the players: sums of the terms of a recipe whose weight is not 0."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.errors import UserError
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import Recipe
from convergan.training.batch import GENERATED, GROUPS, LABELLED, STRONG
from convergan.training.terms.registry import TERMS
from convergan.training.terms.term import (
    HISTORY,
    PLAYERS,
    TEACHER,
    Term,
    TermContext,
    TermOutputs,
)


@dataclass(frozen=True)
class Loss:
    """The loss of one player: the sum of its terms, each multiplied by its weight."""

    terms: tuple[Term, ...]

    @property
    def needs(self) -> frozenset[str]:
        """Inputs of all terms; see `Term.needs`."""
        return frozenset().union(*(term.needs for term in self.terms))

    @property
    def needs_gradient_of(self) -> frozenset[str]:
        """The groups through which a term is differentiated; see `Term.needs_gradient_of`."""
        return frozenset().union(*(term.needs_gradient_of for term in self.terms)) & set(GROUPS)

    @property
    def has_history(self) -> bool:
        """True if a term uses the history of the player's weights."""
        return HISTORY in self.needs

    def begin(self, context: TermContext) -> dict[str, nn.Module]:
        """Prepare the terms for a training; return the states of those that have one, by name."""
        states = {term.name: term.begin(context) for term in self.terms}
        return {
            name: state.to(context.device) for name, state in states.items() if state is not None
        }

    def __call__(self, outputs: TermOutputs) -> dict[str, Float[Tensor, ""]]:
        """The weighted parts of all terms by name. The player minimizes their `total`."""
        parts: dict[str, Tensor] = {}
        for term in self.terms:
            for name, part in term.weighted_parts(outputs).items():
                if name in parts:
                    raise UserError(
                        f"objective.{_option(term.name)}: expected parts whose names no other term of the"
                        f" player has, got {name}"
                    )
                parts[name] = part
        return parts


def total(parts: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """The sum of a loss's parts."""
    return torch.stack(list(parts.values())).sum()


def losses_of(settings: ObjectiveSettings) -> dict[str, Loss]:
    """The loss of each player by its name, without `generator` if no term uses generated images.

    Raises:
        UserError: a player has no term, or a term needs labels but no classes are learnt.
    """
    losses = {
        player: Loss(
            tuple(
                TERMS[name](term_settings)
                for name, term_settings in settings.terms().items()
                if term_settings.weight > 0 and player in TERMS[name].players
            )
        )
        for player in PLAYERS
    }
    for term in (term for loss in losses.values() for term in loss.terms):
        option = f"objective.{_option(term.name)}"
        if not term.needs <= type(term).needs:
            raise UserError(
                f"{option}: expected a term that needs no more than its class says,"
                f" {', '.join(sorted(type(term).needs))}, got {', '.join(sorted(term.needs))}"
            )
        if (LABELLED in term.needs or term.needs_classes) and not settings.is_supervised:
            raise UserError(
                f"{option}.weight: expected 0 where no classes are learnt"
                f" (objective.supervised.weight 0), got {term.settings.weight:g}"
            )
        if settings.shared_real_batch and term.needs & {STRONG, TEACHER}:
            raise UserError(
                f"{option}.weight: expected 0 where objective.shared-real-batch is on, as the term compares"
                f" views of unlabelled images, got {term.settings.weight:g}"
            )
    if losses["generator"].needs <= {HISTORY} and GENERATED not in losses["discriminator"].needs:
        del losses["generator"]
    for player in ("discriminator", "generator"):
        # Historical averaging alone would keep the player where it is.
        if player in losses and not any(map(_teaches, losses[player].terms)):
            names = ", ".join(
                _option(name)
                for name, term in TERMS.items()
                if player in term.players and _teaches(term)
            )
            raise UserError(
                f"objective: expected a weight above 0 of a term of the {player}, {names}, got 0 for each"
            )
    return losses


def _teaches(term: Term | type[Term]) -> bool:
    """True if a player can be trained by the term alone."""
    return not term.is_regularizer and not term.needs <= {HISTORY}


def require_views(recipe: Recipe) -> None:
    """Check that there are strong views if a term uses them.

    Raises:
        UserError: a term needs strong views, and the recipe has no augmentation.
    """
    for name, settings in recipe.objective.terms().items():
        if settings.weight and recipe.augmentation.kind == "none" and STRONG in TERMS[name].needs:
            raise UserError(
                f"objective.{_option(name)}.weight: expected 0 where augmentation.kind is none, as the term"
                f" compares views, got {settings.weight:g}"
            )


def _option(name: str) -> str:
    return name.replace("_", "-")
