"""Adam with its epsilon where the recipe has it."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from convergan.recipes.settings import OptimizerSettings


def build_optimizer(
    weights: Iterable[Tensor], settings: OptimizerSettings, device: torch.device
) -> torch.optim.Optimizer:
    """Adam for these weights: torch's own, unless the epsilon stands elsewhere."""
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.beta1, settings.beta2),
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    if settings.epsilon_place == "outside":
        fused = device.type in ("cpu", "cuda")
        return torch.optim.Adam(weights, **common, decoupled_weight_decay=True, fused=fused)
    return PlacedEpsilonAdam(weights, **common, inside=settings.epsilon_place == "inside")


class PlacedEpsilonAdam(torch.optim.Optimizer):
    """Adam whose epsilon stands inside the root, or beside the root without bias correction.

    With the moments m and v of the gradient, c1 = 1 - beta1^t, c2 = 1 - beta2^t:

        inside:       w -= lr (m / c1) / sqrt(v / c2 + eps)
        not inside:   w -= lr (m / c1) sqrt(c2) / (sqrt(v) + eps)

    The first is that of the authors' code for MNIST, SVHN and CIFAR-10, the second TensorFlow's, in which
    their code for ImageNet is written.

    Args:
        params: tensors to move.
        lr: step size.
        betas: decay of both moments, in [0, 1).
        eps: above 0.
        weight_decay: share of a weight that a step takes away, as a multiple of `lr`.
        inside: which of the two.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        *,
        inside: bool,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        self._inside = inside

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves each tensor that has a gradient against it."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                gradient = weight.grad
                if gradient is None:
                    continue
                state = self.state[weight]
                if not state:
                    # On the CPU, as torch's Adam has it: to read it waits for nothing.
                    state["step"] = torch.zeros(())
                    state["exp_avg"] = torch.zeros_like(weight)
                    state["exp_avg_sq"] = torch.zeros_like(weight)
                state["step"] += 1
                steps, first, second = float(state["step"]), state["exp_avg"], state["exp_avg_sq"]
                first.lerp_(gradient, 1 - beta1)
                second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                correction = 1 - beta2**steps
                if self._inside:
                    root = (second / correction).add_(group["eps"]).sqrt_()
                else:
                    root = second.sqrt().add_(group["eps"]).div_(math.sqrt(correction))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.addcdiv_(first, root, value=-group["lr"] / (1 - beta1**steps))
