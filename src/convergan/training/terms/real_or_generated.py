"""The discriminator's loss of real against generated images (Sections 3.4 and 5)."""

from jaxtyping import Float
from torch import Tensor

from convergan.recipes.terms import RealOrGeneratedSettings
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.semi_supervised import real_or_generated_loss, real_probability_logit
from convergan.training.terms.term import Term, TermOutputs


class RealOrGenerated(Term):
    """-E log D(x) - E log(1 - D(G(z))), with one-sided label smoothing if `positive_target` is below 1.

    With a single class, D is the sigmoid of its logit, and the loss is that of Goodfellow et al. (2014).
    """

    name = "real_or_generated"
    settings_class = RealOrGeneratedSettings
    players = frozenset({"discriminator"})
    needs = frozenset({"unlabelled", "generated"})
    settings: RealOrGeneratedSettings

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""] | dict[str, Float[Tensor, ""]]:
        unlabelled, generated = outputs["unlabelled"].logits, outputs["generated"].logits
        if self.settings.positive_target == 1 and unlabelled.shape[1] > 1:
            return real_or_generated_loss(unlabelled, generated)._asdict()
        return one_sided_smoothing_loss(
            real_probability_logit(unlabelled),
            real_probability_logit(generated),
            positive_target=self.settings.positive_target,
        )
