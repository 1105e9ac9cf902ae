"""The entropy of the predicted classes of unlabelled images."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import ConditionalEntropySettings
from convergan.techniques.conditional_entropy import conditional_entropy
from convergan.training.terms.term import Term, TermOutputs


class ConditionalEntropy(Term):
    """E H(p(y | x)) over the unlabelled images (Springenberg, 2015; Dai et al., 2017)."""

    name = "conditional_entropy"
    settings_class = ConditionalEntropySettings
    players = frozenset({"discriminator"})
    needs = frozenset({"unlabelled"})
    needs_classes = True
    is_regularizer = True

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        return conditional_entropy(outputs["unlabelled"].logits)
