"""The cross-entropy of the labelled images (Section 5)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convergan.recipes.terms import SupervisedSettings
from convergan.techniques.class_weights import balanced_class_weights
from convergan.training.terms.term import Term, TermContext, TermOutputs


class Supervised(Term):
    """-E w_y log p(y | x, y <= K) over the labelled images; the only term from which the baseline learns.

    The weights w are 1 unless the settings balance classes with different numbers of labels. With
    `include_generated`, p(y | x) from a softmax over K + 1 outputs replaces p(y | x, y <= K).
    """

    name = "supervised"
    settings_class = SupervisedSettings
    players = frozenset({"discriminator", "baseline"})
    needs = frozenset({"labelled"})
    settings: SupervisedSettings

    _weights: Tensor | None = None

    def begin(self, context: TermContext) -> None:
        """Compute the weights of the classes from the numbers of their labels."""
        counts = torch.tensor(context.labels_of_class, device=context.device)
        if self.settings.class_weights == "balanced" and (counts != counts[0]).any():
            self._weights = balanced_class_weights(counts)

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        assert outputs.labels is not None
        logits, labels = outputs["labelled"].logits, outputs.labels
        if self.settings.include_generated:
            # The logit of "generated" is 0.
            logits = F.pad(logits, (0, 1))
        if self._weights is None:
            return F.cross_entropy(logits, labels)
        return (self._weights[labels] * F.cross_entropy(logits, labels, reduction="none")).mean()
