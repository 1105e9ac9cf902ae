"""The generator's loss with a target for the discriminator."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import TargetSettings
from convergan.techniques.generator_losses import target_generator_loss
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.training.terms.term import Term, TermOutputs


class Target(Term):
    """The cross-entropy between a given probability and D(G(z)), the authors' choice for ImageNet."""

    name = "target"
    settings_class = TargetSettings
    players = frozenset({"generator"})
    needs = frozenset({"generated"})
    settings: TargetSettings

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        logits = real_probability_logit(outputs["generated"].logits)
        return target_generator_loss(logits, self.settings.probability)
