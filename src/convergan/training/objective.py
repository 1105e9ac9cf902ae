"""What each player minimizes: the terms of a recipe whose weight is not 0."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.errors import UserError
from convergan.recipes.objective import ObjectiveSettings
from convergan.training.batch import GENERATED, LABELLED
from convergan.training.terms.registry import TERMS
from convergan.training.terms.term import HISTORY, PLAYERS, Term, TermOutputs


@dataclass(frozen=True)
class Loss:
    """The loss of one player: the sum of its terms, each multiplied by its weight."""

    terms: tuple[Term, ...]

    @property
    def needs(self) -> frozenset[str]:
        """All that the terms look at; see `Term.needs`."""
        return frozenset().union(*(term.needs for term in self.terms))

    @property
    def has_history(self) -> bool:
        """True if a term looks at the history of the player's weights."""
        return HISTORY in self.needs

    def __call__(self, outputs: TermOutputs) -> dict[str, Float[Tensor, ""]]:
        """The weighted parts of all terms by name; the player minimizes their `total`."""
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
    """The loss of each player by its name; without `generator` where no term looks at generated images.

    Raises:
        UserError: a player has no term, or a term needs labels where there are no classes.
    """
    terms = [
        TERMS[name](term_settings)
        for name, term_settings in settings.terms().items()
        if term_settings.weight > 0
    ]
    losses = {
        player: Loss(tuple(term for term in terms if player in term.players)) for player in PLAYERS
    }
    for term in terms:
        if LABELLED in term.needs and not settings.is_supervised:
            raise UserError(
                f"objective.{_option(term.name)}.weight: expected 0 where no classes are learnt"
                f" (objective.supervised.weight 0), got {term.settings.weight:g}"
            )
    if losses["generator"].needs <= {HISTORY} and GENERATED not in losses["discriminator"].needs:
        del losses["generator"]
    for player in ("discriminator", "generator"):
        # Historical averaging alone would hold the player where it is.
        if player in losses and losses[player].needs <= {HISTORY}:
            names = ", ".join(
                _option(name)
                for name, term in TERMS.items()
                if player in term.players and not term.needs <= {HISTORY}
            )
            raise UserError(
                f"objective: expected a weight above 0 of a term of the {player}, {names}, got 0 for each"
            )
    return losses


def _option(name: str) -> str:
    return name.replace("_", "-")
