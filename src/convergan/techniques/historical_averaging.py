"""Historical averaging: each player pays for moving away from its own past (Section 3.3).

    || theta - 1/t sum_{i=1}^t theta[i] ||^2

theta[i] are the parameters after step i. The mean is kept online, so that memory does not grow with
time. It lets gradient descent find equilibria that it would otherwise orbit or leave.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class HistoricalAveraging(nn.Module):
    """The penalty that historical averaging adds to one player's cost.

        averaging = HistoricalAveraging(generator.parameters())
        for batch in batches:
            loss = generator_loss(batch) + weight * averaging.penalty()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            averaging.update()

    Give each player its own, constructed after its network has moved to its device. The mean (one
    buffer per parameter, `mean_0`, `mean_1`, ..., at least float32) and the count `steps` are in
    `state_dict`: a resumed run goes on exactly. The parameters stay their network's: they are
    neither in `parameters()` nor in `state_dict` of this module.

    Args:
        parameters: one player's parameters, such as `network.parameters()`.

    Raises:
        TypeError: `parameters` is one tensor, or holds something else than tensors.
        ValueError: `parameters` is empty.
    """

    steps: Int[Tensor, ""]

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__()
        if isinstance(parameters, Tensor):
            raise TypeError("parameters must be an iterable of tensors, got a single tensor")
        # In a tuple: assigned directly they would be registered, and trained and saved twice.
        self._watched = tuple(parameters)
        if not self._watched:
            raise ValueError("parameters must hold at least one tensor, got none")
        for index, parameter in enumerate(self._watched):
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    "parameters must hold tensors only,"
                    f" got {type(parameter).__name__} at position {index}"
                )
            # bfloat16 has too few digits for a mean of more than some hundred steps.
            dtype = torch.promote_types(parameter.dtype, torch.float32)
            mean = torch.zeros_like(parameter, dtype=dtype, requires_grad=False)
            self.register_buffer(f"mean_{index}", mean)
        device = self._watched[0].device
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=device))

    def penalty(self) -> Float[Tensor, ""]:
        """|| theta - mean of past theta ||^2, summed over all parameters; not yet weighted.

        Its gradient is 2 (theta - mean): the mean is a constant. 0 before the first `update()`.
        """
        squares = [
            torch.square(parameter - mean).sum()
            for parameter, mean in zip(self._watched, self._means(), strict=True)
        ]
        # Multiplied rather than branched on: reading `steps` would make a GPU wait.
        return torch.stack(squares).sum() * (self.steps > 0)

    @torch.no_grad()
    def update(self) -> None:
        """Add the parameters' current values to the mean; call it after each optimizer step."""
        self.steps += 1
        for parameter, mean in zip(self._watched, self._means(), strict=True):
            mean += (parameter - mean) / self.steps

    def _means(self) -> list[Tensor]:
        # Looked up each time: moving the module to another device replaces its buffers.
        return [self.get_buffer(f"mean_{index}") for index in range(len(self._watched))]
