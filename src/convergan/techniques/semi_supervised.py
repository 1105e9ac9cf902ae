"""The semi-supervised loss: a classifier of K classes that is also the discriminator (Section 5).

A (K+1)-way softmax has the classes 1..K and "generated" as K+1. Subtracting a function of x from
all its logits changes nothing, so logit K+1 is fixed to 0 (Eq. 4-8):

    D(x) = Z(x) / (Z(x) + 1),   Z(x) = sum_k exp l_k(x)
    L = L_supervised + L_unsupervised
    L_supervised   = -E log p(y | x, y <= K)
    L_unsupervised = -E log D(x) - E log(1 - D(G(z)))

With lse = log Z:  -log D = softplus(-lse),  -log(1 - D) = softplus(lse).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

# cross_entropy silently ignores one label, by default -100; here every label must be valid.
_NO_LABEL = -(2**63)


class SemiSupervisedLoss(NamedTuple):
    """The three parts of the discriminator's loss, each a scalar >= 0 in nats.

    `unlabelled` and `generated` already hold the `unsupervised_weight`: the total is the plain sum.
    """

    supervised: Float[Tensor, ""]
    """-E log p(y | x, y <= K) over the labelled samples."""
    unlabelled: Float[Tensor, ""]
    """-E log D(x) over the unlabelled samples, weighted."""
    generated: Float[Tensor, ""]
    """-E log(1 - D(G(z))) over the generated samples, weighted."""

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of the three parts, which the discriminator minimizes."""
        return self.supervised + self.unlabelled + self.generated


def semi_supervised_loss(
    labelled_logits: Float[Tensor, "labelled classes"],
    labels: Int64[Tensor, "labelled"],
    unlabelled_logits: Float[Tensor, "unlabelled classes"],
    generated_logits: Float[Tensor, "generated classes"],
    *,
    unsupervised_weight: float = 1.0,
) -> SemiSupervisedLoss:
    """The loss of a discriminator that classifies into K classes or "generated" (Eq. 4-8).

        supervised = mean_i cross_entropy(labelled_logits[i], labels[i])
        unlabelled = unsupervised_weight * mean_j softplus(-logsumexp(unlabelled_logits[j]))
        generated  = unsupervised_weight * mean_k softplus(+logsumexp(generated_logits[k]))

    The logits are those of the K classes; that of "generated" is 0 and not passed. Finite, with
    finite gradients, for logits of any finite size. Computed in float32, or wider if the logits are,
    whatever precision they come in.

    Args:
        labelled_logits: K logits per labelled sample.
        labels: their classes, int64 in [0, K). On other devices than the CPU a label out of range is
            reported when the device reaches it, as by cross_entropy.
        unlabelled_logits: K logits per unlabelled sample; their number may differ.
        generated_logits: K logits per generated sample; their number may differ.
        unsupervised_weight: >= 0. 1 is the paper's equation; .5 the authors' code, which halves the
            unsupervised part.

    Returns:
        The weighted parts, and `.total`.

    Raises:
        TypeError: `labels` are not int64.
        ValueError: a batch is empty, shapes do not fit, a label is out of range, or the weight is
            negative.
    """
    if labelled_logits.ndim != 2 or labelled_logits.numel() == 0:
        raise ValueError(
            "labelled_logits must be [batch, classes], neither of them 0,"
            f" got shape {tuple(labelled_logits.shape)}"
        )
    samples, classes = labelled_logits.shape
    for name, logits in (
        ("unlabelled_logits", unlabelled_logits),
        ("generated_logits", generated_logits),
    ):
        if logits.ndim != 2 or logits.shape[0] == 0 or logits.shape[1] != classes:
            raise ValueError(
                f"{name} must be [batch, {classes}] like labelled_logits, with at least one row,"
                f" got shape {tuple(logits.shape)}"
            )
    if labels.dtype != torch.int64:
        raise TypeError(f"labels must be int64, got {labels.dtype}")
    if labels.shape != (samples,):
        raise ValueError(
            f"labels must be one per row of labelled_logits, [{samples}],"
            f" got shape {tuple(labels.shape)}"
        )
    if not unsupervised_weight >= 0:
        raise ValueError(f"unsupervised_weight must be >= 0, got {unsupervised_weight}")

    try:
        supervised = F.cross_entropy(_wide(labelled_logits), labels, ignore_index=_NO_LABEL)
    except IndexError:
        # Looked for after the fact: reading labels is no part of an ordinary step, or of a vmap.
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(f"labels must be in [0, {classes}), got {int(wrong)}") from None
    unlabelled, generated = real_or_generated_loss(unlabelled_logits, generated_logits)
    return SemiSupervisedLoss(
        supervised=supervised,
        unlabelled=unsupervised_weight * unlabelled,
        generated=unsupervised_weight * generated,
    )


class RealOrGeneratedLoss(NamedTuple):
    """The two halves of the unsupervised loss, each a scalar >= 0 in nats."""

    unlabelled: Float[Tensor, ""]
    """-E log D(x) over the unlabelled samples."""
    generated: Float[Tensor, ""]
    """-E log(1 - D(G(z))) over the generated samples."""

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of both, which a discriminator that only tells real from generated minimizes."""
        return self.unlabelled + self.generated


def real_or_generated_loss(
    unlabelled_logits: Float[Tensor, "unlabelled classes"],
    generated_logits: Float[Tensor, "generated classes"],
) -> RealOrGeneratedLoss:
    """The unsupervised part of `semi_supervised_loss` alone, to be combined with other terms (Eq. 6).

        unlabelled = mean_j softplus(-logsumexp(unlabelled_logits[j]))
        generated  = mean_k softplus(+logsumexp(generated_logits[k]))

    Finite, with finite gradients, for logits of any finite size. Computed in float32, or wider if the
    logits are.

    Args:
        unlabelled_logits: logits of the K classes for each unlabelled sample, at least one. A single one,
            [n, 1], is the logit of D(x), and the loss that of Goodfellow et al. (2014).
        generated_logits: the same for each generated sample; their number may differ.

    Raises:
        ValueError: a batch is empty.
    """
    for name, logits in (
        ("unlabelled_logits", unlabelled_logits),
        ("generated_logits", generated_logits),
    ):
        if logits.ndim != 2 or logits.numel() == 0:
            raise ValueError(
                f"{name} must be [batch, classes], neither of them 0, got shape {tuple(logits.shape)}"
            )
    return RealOrGeneratedLoss(
        unlabelled=F.softplus(-real_probability_logit(unlabelled_logits)).mean(),
        generated=F.softplus(real_probability_logit(generated_logits)).mean(),
    )


def real_probability_logit(
    logits: Float[Tensor, "batch classes"],
) -> Float[Tensor, "batch"]:
    """The logit of D(x), the probability that a sample is real: logsumexp over the K classes.

    D(x) = sigmoid(real_probability_logit(logits)) = Z / (Z + 1), Z = sum_k exp l_k (Section 5).

    Computed in float32, or wider if the logits are. With one class it is the logit itself.
    """
    return torch.logsumexp(_wide(logits), dim=1)


def _wide(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
