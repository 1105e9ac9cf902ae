"""Consistency between a weak and a strong view of the unlabelled images."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.distributed import gather_rows
from convergan.recipes.terms import ConsistencySettings
from convergan.techniques.consistency import (
    AdaptiveThreshold,
    DistributionAlignment,
    consistency_loss,
)
from convergan.training.terms.term import Term, TermContext, TermOutputs


class Consistency(Term):
    """The cross-entropy of the strong view against confident predictions for the weak view (FixMatch).

    The group `unlabelled` is the weak view, which the teacher sees too. The running means of alignment and
    threshold are over the images of all ranks.
    """

    name = "consistency"
    settings_class = ConsistencySettings
    players = frozenset({"discriminator"})
    needs = frozenset({"unlabelled", "strong", "teacher"})
    needs_classes = True
    settings: ConsistencySettings

    def __init__(self, settings: ConsistencySettings) -> None:
        super().__init__(settings)
        target = "teacher" if settings.targets == "teacher" else "unlabelled"
        self.needs = frozenset({"strong", target})
        self._alignment: DistributionAlignment | None = None
        self._threshold: AdaptiveThreshold | None = None

    @property
    def needs_gradient_of(self) -> frozenset[str]:
        """The group `strong`: targets have no gradient."""
        return frozenset({"strong"})

    def begin(self, context: TermContext) -> nn.Module | None:
        """Create and return the running means that the settings ask for."""
        running: dict[str, nn.Module] = {}
        momentum = self.settings.momentum
        if self.settings.distribution_alignment:
            prior = torch.tensor(context.labels_of_class)
            self._alignment = DistributionAlignment(prior, momentum=momentum)
            running["alignment"] = self._alignment
        if self.settings.adaptive_threshold:
            self._threshold = AdaptiveThreshold(
                len(context.labels_of_class),
                momentum=momentum,
                highest=self.settings.threshold,
            )
            running["threshold"] = self._threshold
        return nn.ModuleDict(running) if running else None

    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""]:
        weak = outputs["unlabelled"] if self.settings.targets == "weak" else outputs.teacher
        assert weak is not None
        targets = weak.logits.detach()
        threshold: float | Tensor = self.settings.threshold
        if self._alignment is not None or self._threshold is not None:
            gathered_targets = gather_rows(targets)
            if self._alignment is not None:
                self._alignment.update(gathered_targets)
                targets = self._alignment(targets)
                gathered_targets = self._alignment(gathered_targets)
            if self._threshold is not None:
                self._threshold.update(gathered_targets)
                threshold = self._threshold()
        return consistency_loss(
            outputs["strong"].logits,
            targets,
            threshold=threshold,
            temperature=self.settings.temperature,
        )
