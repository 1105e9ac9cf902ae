"""The non-saturating loss of the generator."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import NonSaturatingSettings
from convergan.techniques.generator_losses import non_saturating_generator_loss
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.terms.term import Term, TermOutputs


class NonSaturating(Term):
    """-E log D(G(z)) (Goodfellow et al., 2014)."""

    name = "non_saturating"
    settings_class = NonSaturatingSettings
    players = frozenset({"generator"})
    needs = frozenset({"generated"})

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        return non_saturating_generator_loss(real_probability_logit(outputs["generated"].logits))
