"""One-sided label smoothing: the discriminator's targets for real samples shrink (Section 3.4).

With targets alpha for samples of the data and beta for samples of the model, the best discriminator
is

    D(x) = (alpha p_data(x) + beta p_model(x)) / (p_data(x) + p_model(x))

With beta = 0 that is alpha p_data / (p_data + p_model): the usual one, scaled. With beta > 0 the
numerator holds p_model: where p_data is about zero and p_model is large, erroneous samples of the
model have no incentive to move nearer to the data. So only the positive side is smoothed.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def one_sided_smoothing_loss(
    positive_logits: Float[Tensor, "*positives"],
    negative_logits: Float[Tensor, "*negatives"],
    *,
    positive_target: float | Float[Tensor, "..."] = 0.9,
    negative_target: float = 0.0,
    allow_negative_smoothing: bool = False,
) -> Float[Tensor, ""]:
    """The discriminator's cross-entropy with smoothed targets for the positives only.

        loss = mean_i H(alpha, D(x_i)) + mean_j H(0, D(G(z_j)))
        H(t, D) = -t log D - (1 - t) log(1 - D),   D = sigmoid(logit)

    Finite, with finite gradients, for logits of any finite size. Computed in float32, or wider if the
    logits are, whatever precision they come in.

    Args:
        positive_logits: logits of D for real samples, of any shape.
        negative_logits: logits of D for generated samples, of any shape; their number may differ.
        positive_target: alpha, in (0, 1]; 1 is no smoothing. The authors use .75 for ImageNet. A
            tensor that broadcasts to the positive logits gives each its own; its range is checked on
            the CPU only: elsewhere the check would stall the device.
        negative_target: beta; 0 unless `allow_negative_smoothing`, then in [0, alpha).
        allow_negative_smoothing: permit a negative_target above 0, which the paper warns against;
            meant for studying its effect.

    Returns:
        A scalar >= 0: the sum of both means, in nats.

    Raises:
        ValueError: a batch is empty, a target is out of its range, or targets do not broadcast to
            the positive logits.
    """
    for name, logits in (
        ("positive_logits", positive_logits),
        ("negative_logits", negative_logits),
    ):
        if logits.numel() == 0:
            raise ValueError(f"{name} must hold at least one logit, got none")
    if isinstance(positive_target, Tensor):
        try:
            shape = torch.broadcast_shapes(positive_target.shape, positive_logits.shape)
            fits = shape == positive_logits.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(
                f"positive_target must broadcast to positive_logits, {tuple(positive_logits.shape)},"
                f" got shape {tuple(positive_target.shape)}"
            )
    for target in _extremes(positive_target):
        if not 0 < target <= 1:
            raise ValueError(f"positive_target must be in (0, 1], got {target}")
        if not negative_target < target:
            raise ValueError(
                f"negative_target must be in [0, positive_target={target}), got {negative_target}"
            )
    if not negative_target >= 0:
        raise ValueError(f"negative_target must be in [0, positive_target), got {negative_target}")
    if negative_target > 0 and not allow_negative_smoothing:
        raise ValueError(
            f"negative_target must be 0, got {negative_target}: above 0, erroneous samples where"
            " the data has no density have no incentive to move nearer to it (Section 3.4);"
            " pass allow_negative_smoothing=True to do it all the same"
        )
    return _cross_entropy(positive_logits, positive_target) + _cross_entropy(
        negative_logits, negative_target
    )


def _extremes(target: float | Float[Tensor, "..."]) -> tuple[float, ...]:
    """The lowest and the highest target; empty where reading them would stall a device or a compiler."""
    if not isinstance(target, Tensor):
        return (target,)
    if target.device.type != "cpu" or target.numel() == 0 or torch.compiler.is_compiling():
        return ()
    return tuple(float(extreme) for extreme in target.aminmax())


def _cross_entropy(
    logits: Float[Tensor, "*batch"], target: float | Float[Tensor, "..."]
) -> Float[Tensor, ""]:
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # softplus(-l) = -log D and softplus(l) = -log(1 - D): nothing cancels or overflows.
    return (target * F.softplus(-logits) + (1 - target) * F.softplus(logits)).mean()
