"""The generator's losses, from the discriminator's logits for its samples (Goodfellow et al., 2014).

Each takes the logits of D(G(z)). For a discriminator of K classes these are
`real_probability_logit(logits)` (Section 5). Feature matching, the paper's own loss for the
generator (Section 3.1), compares features instead.

    D = sigmoid(l),   -log D = softplus(-l),   -log(1 - D) = softplus(l)
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def minimax_generator_loss(generated_logits: Float[Tensor, "*generated"]) -> Float[Tensor, ""]:
    """The generator's loss in the minimax game: the discriminator's loss, negated.

        loss = mean_i log(1 - D(G(z_i)))

    Its gradient vanishes where the discriminator is sure that a sample is generated.

    Args:
        generated_logits: logits of D for generated samples, of any shape and size. The loss is
            computed in float32, or wider if they are.

    Returns:
        A scalar <= 0, in nats.

    Raises:
        ValueError: the batch is empty.
    """
    return -F.softplus(_checked(generated_logits)).mean()


def non_saturating_generator_loss(
    generated_logits: Float[Tensor, "*generated"],
) -> Float[Tensor, ""]:
    """The generator's loss whose gradient is largest where the discriminator is sure.

        loss = -mean_i log D(G(z_i))

    Args:
        generated_logits: as in `minimax_generator_loss`.

    Returns:
        A scalar >= 0, in nats.

    Raises:
        ValueError: the batch is empty.
    """
    return F.softplus(-_checked(generated_logits)).mean()


def target_generator_loss(
    generated_logits: Float[Tensor, "*generated"], target: float = 0.375
) -> Float[Tensor, ""]:
    """The cross-entropy between D(G(z)) and a target below 1, as in the authors' code for ImageNet.

        loss = mean_i (-t log D(G(z_i)) - (1 - t) log(1 - D(G(z_i))))

    It is lowest where D(G(z)) = t: a generator need not make the discriminator certain. With t = 1
    it is `non_saturating_generator_loss`.

    Args:
        generated_logits: as in `minimax_generator_loss`.
        target: t, in (0, 1]. The default is the authors': the output of the best discriminator, with
            their target of .75 for real samples, where model and data have the same density.

    Returns:
        A scalar >= 0, in nats.

    Raises:
        ValueError: the batch is empty, or `target` is out of its range.
    """
    if not 0 < target <= 1:
        raise ValueError(f"target must be in (0, 1], got {target}")
    logits = _checked(generated_logits)
    return (target * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean()


def _checked(logits: Float[Tensor, "*generated"]) -> Float[Tensor, "*generated"]:
    """The logits of a batch that is not empty, in at least float32."""
    if logits.numel() == 0:
        raise ValueError("generated_logits must hold at least one logit, got none")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
