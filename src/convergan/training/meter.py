"""Losses and scores of the steps of an epoch, which stay on the device."""

import torch
from jaxtyping import Float
from torch import Tensor

from convergan.distributed import ranks, sum_over_ranks
from convergan.training.health import LossWatch, NotFinite
from convergan.training.state import TrainingState

_STEPS_BETWEEN_LOOKS = 50
"""Steps between two checks of the losses on a GPU, which has to wait for each check."""


class LossMeter:
    """Meter that sums the losses of an epoch in `state.epoch_sums`, and finds those that are not finite."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._watch: LossWatch | None = None

    def add(
        self, state: TrainingState, losses: dict[str, Tensor], scores: Float[Tensor, "2"]
    ) -> NotFinite | None:
        """Add the losses and the scores of one step, averaged over all ranks; return a loss that is not
        finite.

        Args:
            state: state of the training at this step.
            losses: scalars by name, with the same names in each step.
            scores: the means of D(x) and of D(G(z)).
        """
        with torch.no_grad():
            numbers = torch.cat([torch.stack([*losses.values()]), scores]).float()
            numbers = sum_over_ranks(numbers) / ranks()
        state.epoch_sums = numbers if state.epoch_sums is None else state.epoch_sums + numbers
        if self._watch is None:
            interval = 1 if self._device.type == "cpu" else _STEPS_BETWEEN_LOOKS
            self._watch = LossWatch(list(losses), interval, self._device)
        return self._watch.add(state.step, numbers[: len(losses)])

    def look(self) -> NotFinite | None:
        """Check the losses since the last check; return the first that is not finite."""
        return None if self._watch is None else self._watch.look()

    def means(self, state: TrainingState, steps: int) -> tuple[dict[str, float], float, float]:
        """The mean losses by name, mean D(x) and mean D(G(z)) of an epoch with so many steps."""
        assert self._watch is not None and state.epoch_sums is not None
        *losses, real_score, generated_score = (state.epoch_sums / steps).tolist()
        return dict(zip(self._watch.names, losses, strict=True)), real_score, generated_score
