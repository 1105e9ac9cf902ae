"""Adam, with epsilon at the place that the recipe sets."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from convergan.recipes.settings import OptimizerSettings


def build_optimizer(
    weights: Iterable[Tensor], settings: OptimizerSettings, device: torch.device
) -> torch.optim.Optimizer:
    """Adam for these weights: torch's own, unless epsilon is at another place than there."""
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.beta1, settings.beta2),
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    if settings.epsilon_place == "outside":
        fused = device.type in ("cpu", "cuda")
        return torch.optim.Adam(weights, **common, decoupled_weight_decay=True, fused=fused)
    return PlacedEpsilonAdam(weights, **common, inside_root=settings.epsilon_place == "inside")


class PlacedEpsilonAdam(torch.optim.Optimizer):
    """Adam with epsilon inside the root, or outside a root without bias correction.

    With the moments m and v of the gradient, c1 = 1 - beta1^t, c2 = 1 - beta2^t:

        inside:    w -= lr (m / c1) / sqrt(v / c2 + eps)
        outside:   w -= lr (m / c1) sqrt(c2) / (sqrt(v) + eps)

    The first is the update of the authors' code for MNIST, SVHN and CIFAR-10. The second is that of
    TensorFlow, in which their code for ImageNet is written.

    Args:
        params: tensors to update.
        lr: learning rate.
        betas: decay rates of both moments, in [0, 1).
        eps: epsilon, above 0.
        weight_decay: decoupled weight decay: each step shrinks a weight by `lr` times this share of it.
        inside_root: True for the first update, False for the second.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        *,
        inside_root: bool,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        self._inside_root = inside_root

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update each tensor that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            (beta1, beta2), rate = group["betas"], group["lr"]
            states = [self._state_of(weight) for weight in weights]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            first = [state["exp_avg"] for state in states]
            second = [state["exp_avg_sq"] for state in states]
            steps = [float(state["step"].add_(1)) for state in states]
            torch._foreach_lerp_(first, gradients, 1 - beta1)
            torch._foreach_mul_(second, beta2)
            torch._foreach_addcmul_(second, gradients, gradients, value=1 - beta2)
            corrections = [1 - beta2**number for number in steps]
            if self._inside_root:
                roots = torch._foreach_div(second, corrections)
                torch._foreach_add_(roots, group["eps"])
                torch._foreach_sqrt_(roots)
            else:
                roots = torch._foreach_sqrt(second)
                torch._foreach_add_(roots, group["eps"])
                torch._foreach_div_(roots, [math.sqrt(correction) for correction in corrections])
            torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
            sizes = [-rate / (1 - beta1**number) for number in steps]
            torch._foreach_addcdiv_(weights, first, roots, sizes)

    def _state_of(self, weight: Tensor) -> dict[str, Tensor]:
        """The number of steps and both moments of a tensor, under the names of torch's Adam."""
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            # On the CPU, as in torch's Adam: reading it does not wait for a GPU.
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        return state
