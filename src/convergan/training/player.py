"""A player: a network, its optimizer, and the EMA and history of its weights."""

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from convergan.distributed import data_parallel, ranks, share_buffers
from convergan.networks.grouped_batch_norm import GroupedBatchNorm
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.layers import BatchNormWithoutGain
from convergan.networks.module import ModuleDiscriminator
from convergan.recipes.settings import HardwareSettings, OptimizerSettings
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.training.adam import build_optimizer
from convergan.training.computation import compiled, memory_layout

NetworkT = TypeVar("NetworkT", bound=Discriminator | Generator)


class Player(Generic[NetworkT]):
    """One side of the game: a network that takes steps at `rate` times a given learning rate.

    If `with_ema`, the player has an EMA of its weights. An `averaging_rate` replaces that of the settings,
    and the EMA then starts from the weights. `network` is the module itself, `local` the same, compiled if
    the recipe says so, and `wrapped` the module that also averages gradients over several ranks.
    """

    def __init__(
        self,
        device: torch.device,
        network: NetworkT,
        settings: OptimizerSettings,
        hardware: HardwareSettings,
        *,
        with_ema: bool,
        with_history: bool,
        rate: float = 1.0,
        averaging_rate: float | None = None,
    ) -> None:
        layout = memory_layout(device, network)
        self.network = network.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.local = compiled(self.network, hardware, device)
        self.settings, self.rate = settings, rate
        self.averaging_rate = settings.averaging_rate if averaging_rate is None else averaging_rate
        self.ema_from_zero = averaging_rate is None and settings.averaging_start == "zero"
        self.trained = [weight for weight in network.parameters() if weight.requires_grad]
        parallel = data_parallel(self.network, device)
        self.wrapped = (
            self.local if parallel is self.network else compiled(parallel, hardware, device)
        )
        self.optimizer = build_optimizer(self.trained, settings, device)
        self.ema = AveragedModel(self.network) if with_ema else None
        if self.ema is not None and self.ema_from_zero:
            with torch.no_grad():
                torch._foreach_zero_([*self.ema.module.parameters()])
            # The first update is then like the others, and does not copy the weights.
            self.ema.n_averaged.fill_(1)
        self.history = HistoricalAveraging(self.network) if with_history else None

    def step(self, loss: Tensor, learning_rate: float) -> None:
        """Update the weights by the gradient of `loss`, then the EMA."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.move(learning_rate)

    def move(self, learning_rate: float) -> None:
        """Update the weights by their gradients, then the EMA. An EMA that starts from zero is
        updated before the weights.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * learning_rate
        if self.ema is not None and self.ema_from_zero:
            self._update_ema()
        self.optimizer.step()
        if ranks() > 1 and isinstance(self.network, ModuleDiscriminator):
            share_buffers(_other_buffers(self.network))
        if self.history is not None:
            self.history.update()
        if self.ema is not None and not self.ema_from_zero:
            self._update_ema()

    def is_finite(self) -> bool:
        """True if all trained weights are finite. A finite loss may have a gradient that is not."""
        return bool(torch.isfinite(torch.stack(torch._foreach_norm([*self.trained]))).all())

    @property
    def tested(self) -> NetworkT:
        """The network that is tested: that of the EMA weights if there are any."""
        return self.network if self.ema is None else self.ema.module  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """The state on which later steps depend."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.ema is None else self.ema.state_dict(),
            "history": None if self.history is None else self.history.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        # A file has no memory layouts, and the fused optimizer needs that of the weights.
        for weight, moments in self.optimizer.state.items():
            for name, moment in moments.items():
                if moment.shape == weight.shape:
                    moments[name] = torch.empty_like(weight).copy_(moment)
        if self.ema is not None:
            self.ema.load_state_dict(state["average"])
        if self.history is not None:
            self.history.load_state_dict(state["history"])

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Move the EMA of the weights and of the running statistics by rate (network - EMA).

        This replaces `AveragedModel.update_parameters`, which makes a GPU wait for the number of updates.
        """
        assert self.ema is not None
        network, averaged, rate = self.network, self.ema.module, self._averaging_rate()
        current, averages = map(_running_statistics, (network, averaged))
        moved = [
            average.lerp(statistic, rate)
            for average, statistic in zip(averages, current, strict=True)
        ]
        weights: list[Tensor] = [*network.parameters()]
        ema_weights: list[Tensor] = [*averaged.parameters()]
        if self.ema.n_averaged == 0:
            torch._foreach_copy_(ema_weights, weights)
        else:
            rate = self.averaging_rate if self.ema_from_zero else rate
            torch._foreach_lerp_(ema_weights, weights, rate)
        # Other buffers are copied from the network.
        for average, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
        for average, statistic in zip(averages, moved, strict=True):
            average.copy_(statistic)
        self.ema.n_averaged += 1

    def _averaging_rate(self) -> float:
        """The update rate of the EMA whose horizon is a share of the steps so far, or, if that is larger, the
        final rate.
        """
        steps_averaged = int(self.ema.n_averaged)  # type: ignore[union-attr]
        horizon = 1 / (self.settings.averaging_horizon * (steps_averaged + 1))
        return min(1.0, max(self.averaging_rate, horizon))


def _running_statistics(network: nn.Module) -> list[Tensor]:
    """The running statistics that are averaged like the weights, on which their activations depend."""
    statistics = [
        statistic
        for layer in network.modules()
        if isinstance(layer, GroupedBatchNorm)
        for statistic in (layer.norm.running_mean, layer.norm.running_var)
    ]
    if isinstance(network, Generator):
        statistics += [
            statistic
            for layer in network.modules()
            if isinstance(layer, BatchNormWithoutGain)
            for statistic in (layer.running_mean, layer.running_var)
        ]
    return [statistic for statistic in statistics if statistic is not None]


def _other_buffers(network: nn.Module) -> list[Tensor]:
    """The buffers of all layers except batch normalization, which every rank updates alike."""
    return [
        buffer
        for layer in network.modules()
        if not isinstance(layer, _BatchNorm)
        for buffer in layer.buffers(recurse=False)
    ]
