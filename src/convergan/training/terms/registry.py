"""All terms by name: those of the paper, and those that somebody else has registered."""

from convergan.errors import UserError
from convergan.recipes.objective import register_term_settings
from convergan.training.terms.feature_matching import FeatureMatching
from convergan.training.terms.historical_averaging import HistoricalAveragingPenalty
from convergan.training.terms.minimax import Minimax
from convergan.training.terms.non_saturating import NonSaturating
from convergan.training.terms.real_or_generated import RealOrGenerated
from convergan.training.terms.supervised import Supervised
from convergan.training.terms.target import Target
from convergan.training.terms.term import NEEDS, PLAYERS, Term

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
    )
}


def register_term(term: type[Term]) -> type[Term]:
    """Makes a term known: its settings are then a group of `objective`, in Python and in recipe.yaml.

    A decorator of a subclass of `Term`. The same class may be registered again, as by a cell of a notebook
    that runs a second time. To train with it, put its settings, with a weight above 0, into a
    recipe: `replace(recipe, objective=recipe.objective.with_term(settings))`.

    Raises:
        UserError: its name is taken, or `players` or `needs` hold what there is not.
    """
    for what, given, known in (("players", term.players, PLAYERS), ("needs", term.needs, NEEDS)):
        if not given or not given <= set(known):
            raise UserError(
                f"{term.name}.{what}: expected one or more of {', '.join(sorted(known))},"
                f" got {', '.join(sorted(given)) or 'none'}"
            )
    if _origin(TERMS.get(term.name, term)) != _origin(term):
        raise UserError(f"{term.name}: expected a name that no other term has, got that of one")
    register_term_settings(term.name, term.settings_class)
    TERMS[term.name] = term
    return term


def _origin(term: type[Term]) -> tuple[str, str]:
    return term.__module__, term.__qualname__
