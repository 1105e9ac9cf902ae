"""Base of the metric classes: torchmetrics with any network, checked features, and sums in float64."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torchmetrics import Metric as _TorchmetricsMetric

from convergan.errors import UserError, quoted
from convergan.metrics.modes import evaluation_mode
from convergan.metrics.requirements import require_finite, require_matrix


class MetricClass(_TorchmetricsMetric):
    """Base of the metric classes.

    States stay as they are if the network is converted, by `half()`, `to(torch.bfloat16)` or `set_dtype`:
    sums are float64. States that are loaded from a `state_dict` continue, independent of it.
    """

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a result of `compute` or of a call, or a list of them; of a mean with its spread, the mean.

        Args:
            val: the result, or results; None: that of `compute`.
            ax: the axes of matplotlib to plot on; None: those of a new figure.

        Returns:
            The figure, None if `ax` is given, and the axes.
        """
        if val is None:
            val = self.compute()
        # A tensor has a method `mean`, a result with a spread a field.
        if isinstance(val, Sequence) and not hasattr(val, "mean"):
            return self._plot([_mean(result) for result in val], ax)
        return self._plot(_mean(val), ax)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ""
    ) -> nn.Module:
        former = {name: (getattr(self, name), self._defaults[name]) for name in self._defaults}
        super()._apply(fn, exclude_state)
        # The states move with the network, but are not converted with it.
        for name, (state, default) in former.items():
            setattr(self, name, _moved(state, self.device))
            self._defaults[name] = _moved(default, self.device)
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        for name, default in self._defaults.items():
            loaded = state_dict.get(prefix + name)
            if not isinstance(loaded, Tensor) or not isinstance(default, Tensor):
                continue
            # A length of 0 is one that the first images set.
            expected = [size or "any" for size in default.shape]
            fits = [own in ("any", size) for own, size in zip(expected, loaded.shape, strict=False)]
            if loaded.ndim != default.ndim or not all(fits):
                raise UserError(
                    f"state_dict: expected {prefix}{name} of the shape [{', '.join(map(str, expected))}], got"
                    f" {list(loaded.shape)}"
                )
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        for name in self._defaults:
            # `update` adds in place: the dictionary, which may be loaded again, keeps its own sums and lists.
            state = _moved(getattr(self, name), self.device)
            setattr(self, name, state.clone() if isinstance(state, Tensor) else state)
        self._computed = None


class DistanceClass(MetricClass):
    """Base of the classes of a distance from real images, which `reset` may keep."""

    reset_real_features: bool

    @property
    def full_state_update(self) -> bool:  # type: ignore[override]
        """True if `reset` keeps the real images.

        torchmetrics then computes the result of a call apart from the state. Otherwise it would reset the
        state and add the former one afterwards, real images included.
        """
        return not self.reset_real_features


class FeaturesAlone(nn.Module):
    """The features of a network's output, checked, as torchmetrics expects them.

    Args:
        network: a module that turns images into features, or into an output with a field `features`.
        num_features: number of features; None: any.
    """

    def __init__(self, network: nn.Module, num_features: int | None = None) -> None:
        super().__init__()
        self.network, self.num_features = network, num_features

    def forward(self, images: Shaped[Tensor, "batch *image"]) -> Float[Tensor, "batch features"]:
        """Compute features of images, without gradients.

        Raises:
            UserError: the features are not floats [batch, num_features], or a value is NaN or infinite.
        """
        with evaluation_mode(self.network), torch.inference_mode():
            output = self.network(images)
        features: Tensor = getattr(output, "features", output)
        name = "features of the network"
        require_matrix(name, features, len(images), self.num_features or "features")
        require_finite(name, features)
        return features


def refuse_options_without_effect(
    metric: type[_TorchmetricsMetric], options: Mapping[str, Any]
) -> None:
    """Refuse options of a metric of torchmetrics that do not change what a class of ours computes.

    Args:
        metric: the metric of torchmetrics.
        options: the options that a user gave. `reset_real_features` has an effect, and so has every option of
            `torchmetrics.Metric`.

    Raises:
        UserError: another option has another value than its default.
    """
    for name, parameter in inspect.signature(metric).parameters.items():
        if (
            name == "reset_real_features"
            or options.get(name, parameter.default) == parameter.default
        ):
            continue
        raise UserError(
            f"{name}: expected no such option, as the network gets the images as they are and the formula is"
            f" fixed, got {quoted(options[name])}"
        )


def _mean(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def _moved(state: Tensor | list[Tensor], device: torch.device) -> Tensor | list[Tensor]:
    return state.to(device) if isinstance(state, Tensor) else [part.to(device) for part in state]
