"""Several classifiers as one: the mean of their class probabilities."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convergan.networks.interface import Discriminator, DiscriminatorOutput


def averaged_logits(
    logits: Sequence[Float[Tensor, "images classes"]],
) -> Float[Tensor, "images classes"]:
    """The logarithm of the mean of several classifiers' class probabilities; its softmax is that mean.

        log (1/M) sum_m softmax(logits_m)

    Args:
        logits: the logits of each of the M >= 1 classifiers, for the same images in the same order.
    """
    # One after the other: the same image has the same last digit in a batch of any size.
    total, *terms = (torch.log_softmax(member.float(), dim=1) for member in logits)
    for term in terms:
        total = torch.logaddexp(total, term)
    return total - math.log(len(logits))


class EnsembleDiscriminator(Discriminator):
    """The members of an ensemble as one classifier, for evaluation: `averaged_logits` of the members' logits,
    and the features of all members one after the other.

    Its logits are normalized, so they do not tell real from generated images.

    Args:
        members: discriminators with the same classes and the same range of pixels, one or more.
    """

    def __init__(self, members: Sequence[Discriminator]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.pixel_range = members[0].pixel_range
        self.channels_last = members[0].channels_last

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        outputs: list[DiscriminatorOutput] = [member(images) for member in self.members]
        return DiscriminatorOutput(
            averaged_logits([output.logits for output in outputs]),
            torch.cat([output.features for output in outputs], dim=1),
        )
