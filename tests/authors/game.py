"""The losses and the order of the updates in the authors' experiments on MNIST, CIFAR-10 and SVHN."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from authors.adam import Adam, Average
from authors.layers import log_sum_exp, softplus

Noise = Sequence[Tensor]
"""The random numbers of one pass through the discriminator, one tensor for each layer that draws any, in the
order of the layers."""

Output = tuple[Tensor, Tensor]
"""Logits and features."""


def feature_distance(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean over the features of the distance of batch means: `squared` on MNIST, else `absolute`."""

    def distance(real: Tensor, generated: Tensor) -> Tensor:
        difference = torch.mean(generated, dim=0) - torch.mean(real, dim=0)
        return torch.mean(difference**2 if kind == "squared" else torch.abs(difference))

    return distance


class History:
    """Historical averaging: the squared distance of weights from the mean of what they were after each
    step."""

    def __init__(self, weights: Sequence[Tensor], factor: float) -> None:
        self.weights, self.factor = weights, factor
        self.past: list[list[Tensor]] = [[] for _ in weights]

    def penalty(self) -> Tensor:
        if not self.factor or not self.past[0]:
            return torch.zeros(())
        distances = [
            torch.sum((weight - torch.mean(torch.stack(past), dim=0)) ** 2)
            for weight, past in zip(self.weights, self.past, strict=True)
        ]
        return self.factor * torch.stack(distances).sum()

    def update(self) -> None:
        if not self.factor:
            # All of the past would fill the memory.
            return
        for weight, past in zip(self.weights, self.past, strict=True):
            past.append(weight.detach().clone())


class SemiSupervisedGame:
    """The updates of two players, whose networks subclasses define.

    `positive` is the discriminator's target for real images, 1 in the authors' code; `history`, the weight of
    historical averaging, 0 there.
    """

    def __init__(
        self,
        discriminator: Sequence[Tensor],
        generator: Sequence[Tensor],
        *,
        form: str = "theano",
        epsilon: float = 1e-8,
        positive: float = 1.0,
        history: float = 0.0,
    ) -> None:
        self.histories = [History(weights, history) for weights in (discriminator, generator)]
        self.adam = Adam(discriminator, form=form, epsilon=epsilon)
        self.adam_of_generator = Adam(generator, form=form, epsilon=epsilon)
        self.average = Average(discriminator)
        self.positive = positive

    def judged(self, images: Tensor, noise: Noise) -> Output:
        raise NotImplementedError

    def generated(self, latent: Tensor) -> Tensor:
        raise NotImplementedError

    def train_discriminator(
        self,
        labelled: Tensor | None,
        labels: Tensor | None,
        unlabelled: Tensor,
        latent: Tensor,
        noises: Sequence[Noise],
        rate: float,
    ) -> None:
        """A step by three passes, whose noises are given in the order labelled, unlabelled, generated.

        Without labels, and so without the first pass, there is one logit, that of being real.
        """
        supervised = torch.zeros(())
        if labelled is not None and labels is not None:
            labelled_logits = self.judged(labelled, noises[0])[0]
            label_logits = labelled_logits[torch.arange(len(labels)), labels]
            supervised = -torch.mean(label_logits) + torch.mean(log_sum_exp(labelled_logits))
        unlabelled_logit = log_sum_exp(self.judged(unlabelled, noises[-2])[0])
        generated_logit = log_sum_exp(self.judged(self.generated(latent), noises[-1])[0])
        unsupervised = (
            -0.5 * self.positive * torch.mean(unlabelled_logit)
            + 0.5 * torch.mean(softplus(unlabelled_logit))
            + 0.5 * torch.mean(softplus(generated_logit))
        )
        self.average.update()
        self.adam.step(supervised + 1.0 * unsupervised + self.histories[0].penalty(), rate)
        self.histories[0].update()

    def match_features(
        self, unlabelled: Tensor, latent: Tensor, noises: Sequence[Noise], rate: float, kind: str
    ) -> None:
        """The generator's step of feature matching; noises of the real and of the generated images."""
        real = self.judged(unlabelled, noises[0])[1]
        generated = self.judged(self.generated(latent), noises[1])[1]
        self.adam_of_generator.step(feature_distance(kind)(real, generated), rate)

    def fool(
        self, latent: Tensor, noise: Noise, rate: float, *, non_saturating: bool = False
    ) -> None:
        """The generator's step of the minimax loss, or of the non-saturating one, which is not theirs."""
        logit = log_sum_exp(self.judged(self.generated(latent), noise)[0])
        loss = torch.mean(softplus(-logit)) if non_saturating else -torch.mean(softplus(logit))
        self.adam_of_generator.step(loss + self.histories[1].penalty(), rate)
        self.histories[1].update()
