"""All terms by name: those of this package, and custom ones that have been registered."""

from collections.abc import Set

from convergan.errors import UserError, quoted
from convergan.recipes.objective import register_term_settings
from convergan.training.terms.conditional_entropy import ConditionalEntropy
from convergan.training.terms.consistency import Consistency
from convergan.training.terms.feature_matching import FeatureMatching
from convergan.training.terms.historical_averaging import HistoricalAveragingPenalty
from convergan.training.terms.minimax import Minimax
from convergan.training.terms.non_saturating import NonSaturating
from convergan.training.terms.pull_away import PullAway
from convergan.training.terms.real_or_generated import RealOrGenerated
from convergan.training.terms.supervised import Supervised
from convergan.training.terms.target import Target
from convergan.training.terms.term import NEEDS, NEEDS_OF_PLAYER, PLAYERS, Term

TERMS: dict[str, type[Term]] = {
    term.name: term
    for term in (
        Supervised,
        RealOrGenerated,
        FeatureMatching,
        Minimax,
        NonSaturating,
        Target,
        HistoricalAveragingPenalty,
        Consistency,
        ConditionalEntropy,
        PullAway,
    )
}


def register_term(term: type[Term]) -> type[Term]:
    """Register a term. Its settings are then a group of `objective`, in Python and in recipe.yaml.

    This is a decorator of a subclass of `Term`. The same class may be registered again, as when a cell of a
    notebook runs a second time. To train with the term, put its settings, with a weight above 0, into a
    recipe: `replace(recipe, objective=recipe.objective.with_term(settings))`.

    Raises:
        UserError: the class is not a subclass of `Term` with a name and settings, its name is taken,
            `players` or `needs` contain an unknown name, or `needs` one that is not available in a player's
            step.
    """
    name = getattr(term, "name", None)
    if not (isinstance(term, type) and issubclass(term, Term) and isinstance(name, str)):
        raise UserError(f"term: expected a subclass of Term with a name, got {quoted(term)}")
    for field, allowed in (("players", set(PLAYERS)), ("needs", NEEDS)):
        values = getattr(term, field, None)
        if not isinstance(values, Set) or not values or not values <= allowed:
            values_in_words = (
                ", ".join(map(str, sorted(values))) if isinstance(values, Set) else quoted(values)
            )
            raise UserError(
                f"{name}.{field}: expected a set of one or more of {', '.join(sorted(allowed))},"
                f" got {values_in_words or 'none'}"
            )
    for player in sorted(term.players):
        if unseen := term.needs - NEEDS_OF_PLAYER[player]:
            raise UserError(
                f"{name}.needs: expected some of {', '.join(sorted(NEEDS_OF_PLAYER[player]))} in the step of"
                f" the {player}, got {', '.join(sorted(unseen))}"
            )
    if _origin(TERMS.get(name, term)) != _origin(term):
        raise UserError(f"{name}: expected a name that no other term has, got that of another term")
    register_term_settings(name, getattr(term, "settings_class", None))  # type: ignore[arg-type]
    TERMS[name] = term
    return term


def _origin(term: type[Term]) -> tuple[str, str]:
    return term.__module__, term.__qualname__
