"""The two forms of Adam in the authors' code, and their running average of weights."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Adam:
    """Adam with epsilon inside the root, as in their Theano code; `outside` and `tensorflow` are variants.

    Each step replaces the values of the weights, and returns nothing.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        *,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        form: str = "theano",
    ) -> None:
        self.weights, self.epsilon, self.form = list(weights), epsilon, form
        self.beta1, self.beta2 = 0.5, beta2
        self.means = [torch.zeros_like(weight) for weight in weights]
        self.squares = [torch.zeros_like(weight) for weight in weights]
        self.t = 1

    def step(self, loss: Tensor, rate: float, *, retain_graph: bool = False) -> None:
        """Move all weights against the gradient of the loss."""
        self.move(
            torch.autograd.grad(loss, self.weights, retain_graph=retain_graph, allow_unused=True),
            rate,
        )

    def move(self, gradients: Sequence[Tensor | None], rate: float) -> None:
        for number, (weight, derivative) in enumerate(zip(self.weights, gradients, strict=True)):
            gradient = torch.zeros_like(weight) if derivative is None else derivative
            mean = self.beta1 * self.means[number] + (1 - self.beta1) * gradient
            square = self.beta2 * self.squares[number] + (1 - self.beta2) * gradient**2
            self.means[number], self.squares[number] = mean, square
            c1, c2 = 1 - self.beta1**self.t, 1 - self.beta2**self.t
            if self.form == "theano":
                change = rate * (mean / c1) / torch.sqrt(square / c2 + self.epsilon)
            elif self.form == "outside":
                change = rate * (mean / c1) / (torch.sqrt(square / c2) + self.epsilon)
            else:
                assert self.form == "tensorflow"
                change = rate * c2**0.5 / c1 * mean / (torch.sqrt(square) + self.epsilon)
            weight.data = weight.data - change
        self.t += 1


class Average:
    """Zeros that move by a ten-thousandth of the way towards the weights as they are before each step."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = list(weights)
        self.values = [torch.zeros_like(weight) for weight in weights]

    def update(self) -> None:
        self.values = [
            value + 0.0001 * (weight.detach() - value)
            for value, weight in zip(self.values, self.weights, strict=True)
        ]
