"""The cross-entropy of the labelled images (Section 5)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convergan.recipes.terms import SupervisedSettings
from convergan.training.terms.term import Term, TermOutputs


class Supervised(Term):
    """-E log p(y | x, y <= K) over the labelled images; all that the baseline learns from."""

    name = "supervised"
    settings_class = SupervisedSettings
    players = frozenset({"discriminator", "baseline"})
    needs = frozenset({"labelled"})

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        assert outputs.labels is not None
        return F.cross_entropy(outputs["labelled"].logits, outputs.labels)
