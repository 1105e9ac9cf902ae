"""Consistency: a strong view of an image should get the class that its weak view gets with confidence.

    L = mean_i 1[max_k q_ik >= threshold] H(q_i, p(y | strong view of u_i)),   q_i = p(y | weak view of u_i)

over unlabelled images u_i (FixMatch: Sohn et al., 2020, arXiv 2001.07685). The target q comes from the
network itself or from the EMA of its weights, and takes no gradient. p is the softmax over the K classes;
a logit of "generated" is not among them.

A network that is trained on few labels predicts some classes too often: `DistributionAlignment` gives the
targets the frequencies of the labels. A fixed threshold admits few images at the start: the threshold of
`AdaptiveThreshold` rises with the network's confidence.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-6
"""Number added to every probability before an alignment, so that none divides by 0."""


def consistency_loss(
    student_logits: Float[Tensor, "batch classes"],
    target_logits: Float[Tensor, "batch classes"],
    *,
    threshold: float | Float[Tensor, "classes"] = 0.95,
    temperature: float = 0.0,
) -> Float[Tensor, ""]:
    """The cross-entropy of strong views against confident classes of weak views (FixMatch).

        q_i  = softmax(target_logits_i)
        L    = 1/n sum_i 1[max_k q_ik >= threshold] H(t_i, softmax(student_logits_i))
        t_i  = one-hot(argmax_k q_ik)               if temperature is 0: FixMatch's pseudo-label
             = softmax(target_logits_i / temperature)   else: the distribution, sharpened below 1

    The mean is over all n images: those below the threshold count as 0, so that few confident images have
    little weight. No gradient flows into the targets. Finite, with finite gradients, for logits of any finite
    size; computed in float32, or wider if the logits are.

    Args:
        student_logits: logits of the K classes for a strong view of each image.
        target_logits: logits for a weak view of the same images, of the same network or of the EMA of its
            weights; or such logits aligned by `DistributionAlignment`.
        threshold: lowest probability of the target's class, in [0, 1]. 0 takes all images. A tensor has one
            threshold for each class, such as those of `AdaptiveThreshold`.
        temperature: >= 0.

    Returns:
        A scalar >= 0, in nats.

    Raises:
        ValueError: a batch is empty, shapes do not fit, or a number is out of its range.
    """
    _check(student_logits, "student_logits")
    if student_logits.shape != target_logits.shape:
        raise ValueError(
            f"target_logits must have the shape of student_logits, {tuple(student_logits.shape)},"
            f" got {tuple(target_logits.shape)}"
        )
    classes = student_logits.shape[1]
    if isinstance(threshold, Tensor):
        if threshold.shape != (classes,):
            raise ValueError(
                f"threshold must be a number or one for each class, [{classes}],"
                f" got shape {tuple(threshold.shape)}"
            )
    elif not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be >= 0, got {temperature}")
    target_logits = _wide(target_logits.detach())
    confidence, labels = target_logits.softmax(dim=1).max(dim=1)
    minimum = threshold.detach()[labels] if isinstance(threshold, Tensor) else threshold
    logs = _wide(student_logits).log_softmax(dim=1)
    if temperature == 0:
        losses = F.nll_loss(logs, labels, reduction="none")
    else:
        losses = -((target_logits / temperature).softmax(dim=1) * logs).sum(dim=1)
    return (losses * (confidence >= minimum)).mean()


def align_distribution(
    logits: Float[Tensor, "batch classes"],
    mean: Float[Tensor, "classes"],
    prior: Float[Tensor, "classes"],
) -> Float[Tensor, "batch classes"]:
    """Move logits so that their mean distribution is near a prior (Berthelot et al., 2019, arXiv 1911.09785).

        softmax(result) = normalize(softmax(logits) * prior / mean)

    Both distributions have 1e-6 added to each class. Computed in float32, or wider if the logits are.

    Args:
        logits: logits of the K classes.
        mean: the mean of softmax(logits) over many images, such as a running one.
        prior: the target distribution of the classes, such as that of the labels.

    Raises:
        ValueError: there is no row, or a distribution has another number of classes.
    """
    _check(logits, "logits")
    for name, distribution in (("mean", mean), ("prior", prior)):
        if distribution.shape != logits.shape[1:]:
            raise ValueError(
                f"{name} must have one number for each class, [{logits.shape[1]}],"
                f" got shape {tuple(distribution.shape)}"
            )
    return _wide(logits).log_softmax(dim=1) + ((prior + _EPSILON) / (mean + _EPSILON)).log()


class _Running(nn.Module):
    """Base of modules with running means of class probabilities, which stay in float32 or wider."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.momentum = momentum

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Apply a conversion such as `.to` or `.half`, but keep the means in float32 or wider."""

        def in_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.dtype in (torch.float16, torch.bfloat16):
                return tensor.to(moved.device)
            return moved

        return super()._apply(in_float32, recurse)


class DistributionAlignment(_Running):
    """Distribution alignment by a running mean of the network's predictions (`align_distribution`).

        update:   mean <- mean + r (mean_i softmax(logits_i) - mean),   r = max(1 - momentum, 1 / updates)
        forward:  softmax(result) = normalize(softmax(logits) * prior / mean)

    The mean is at first over all batches so far, and later over about the last 1 / (1 - momentum).

    Args:
        prior: the target distribution of the classes, [K], such as the counts of the labels: numbers >= 0,
            which are divided by their sum.
        momentum: weight of the past at each update, in [0, 1); ReMixMatch takes the last 128 batches.

    Raises:
        ValueError: `prior` is no distribution, or `momentum` is out of its range.
    """

    prior: Tensor
    mean: Tensor
    updates: Tensor

    def __init__(self, prior: Real[Tensor, "classes"], *, momentum: float = 0.99) -> None:
        super().__init__(momentum)
        if prior.ndim != 1 or not (prior >= 0).all() or not 0 < prior.sum() < torch.inf:
            raise ValueError(
                f"prior must be [classes], of numbers >= 0 that are not all 0, got {prior.tolist()}"
            )
        prior = prior.to(torch.promote_types(prior.dtype, torch.float32))
        self.register_buffer("prior", prior / prior.sum())
        self.register_buffer("mean", torch.full_like(self.prior, 1 / len(prior)))
        self.register_buffer("updates", torch.tensor(0, device=prior.device))

    @torch.no_grad()
    def update(self, logits: Float[Tensor, "batch classes"]) -> None:
        """Move the running mean towards the mean of a batch: the rows of all ranks, if there are several."""
        _check(logits, "logits")
        self.updates += 1
        rate = (1 / self.updates).clamp(min=1 - self.momentum).to(self.mean.dtype)
        self.mean.lerp_(_wide(logits).softmax(dim=1).mean(dim=0).to(self.mean.dtype), rate)

    def forward(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        return align_distribution(logits, self.mean, self.prior)


class AdaptiveThreshold(_Running):
    """A threshold for each class that rises with the network's confidence (FreeMatch, arXiv 2205.07246).

        update:   confidence <- momentum confidence + (1 - momentum) mean_i max_k p_ik
                  mean       <- momentum mean + (1 - momentum) mean_i p_i,       p_i = softmax(logits_i)
        forward:  threshold_k = min(highest, confidence) mean_k / max_j mean_j

    Both begin at 1 / K. Classes that the network predicts rarely have lower thresholds.

    Args:
        classes: K, at least 1.
        momentum: weight of the past at each update, in [0, 1). The paper has .999 for a million steps; .99
            serves runs of thousands.
        highest: upper limit of the thresholds, in (0, 1].

    Raises:
        ValueError: a number is out of its range.
    """

    confidence: Tensor
    mean: Tensor

    def __init__(self, classes: int, *, momentum: float = 0.999, highest: float = 1.0) -> None:
        super().__init__(momentum)
        if classes < 1:
            raise ValueError(f"classes must be >= 1, got {classes}")
        if not 0 < highest <= 1:
            raise ValueError(f"highest must be in (0, 1], got {highest}")
        self.highest = highest
        self.register_buffer("confidence", torch.tensor(1 / classes))
        self.register_buffer("mean", torch.full((classes,), 1 / classes))

    @torch.no_grad()
    def update(self, logits: Float[Tensor, "batch classes"]) -> None:
        """Move confidence and mean towards those of a batch: the rows of all ranks, if there are several."""
        _check(logits, "logits")
        probabilities = _wide(logits).softmax(dim=1).to(self.mean.dtype)
        self.confidence.lerp_(probabilities.amax(dim=1).mean(), 1 - self.momentum)
        self.mean.lerp_(probabilities.mean(dim=0), 1 - self.momentum)

    def forward(self) -> Float[Tensor, "classes"]:
        return self.confidence.clamp(max=self.highest) * self.mean / self.mean.amax()


def _check(logits: Tensor, name: str) -> None:
    if logits.ndim != 2 or logits.numel() == 0:
        raise ValueError(
            f"{name} must be [batch, classes], neither of them 0, got shape {tuple(logits.shape)}"
        )


def _wide(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
