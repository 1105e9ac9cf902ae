"""The minimax loss of the generator."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import MinimaxSettings
from convergan.techniques.generator_losses import minimax_generator_loss
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.terms.term import Term, TermOutputs


class Minimax(Term):
    """E log(1 - D(G(z))), the authors' choice with minibatch discrimination."""

    name = "minimax"
    settings_class = MinimaxSettings
    players = frozenset({"generator"})
    needs = frozenset({"generated"})

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        return minimax_generator_loss(real_probability_logit(outputs["generated"].logits))
