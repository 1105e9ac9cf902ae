"""Historical averaging: each player pays for moving away from its own past (Section 3.3).

    || theta - 1/t sum_{i=1}^t theta[i] ||^2

theta[i] are the parameters after step i. The mean is kept online, so that memory does not grow with
time. It lets gradient descent find equilibria that it would otherwise orbit or leave.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.weak import TensorWeakRef

# Neither is public; without them the plain operations run, which work everywhere.
_transforms_active: Callable[[], bool] = getattr(
    torch._C, "_are_functorch_transforms_active", lambda: True
)


def _under_transform() -> bool:
    """True within a transform of `torch.func` or forward-mode differentiation, which hand-written backwards
    do not support.
    """
    return _transforms_active() or getattr(forward_ad, "_current_level", 0) >= 0


class HistoricalAveraging(nn.Module):
    """The penalty that historical averaging adds to one player's cost.

        averaging = HistoricalAveraging(generator)
        for batch in batches:
            loss = generator_loss(batch) + weight * averaging.penalty()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            averaging.update()

    Give each player its own, constructed after its network has moved to its device. The mean (one
    buffer per parameter, `mean_0`, `mean_1`, ..., at least float32 whatever the module is converted
    to) and the count `steps` are in `state_dict`: a resumed run goes on exactly. The parameters belong
    to their network: they are neither in `parameters()` nor in `state_dict` of this module.

    A network's parameters are looked up by name at every call, so that it may be converted, loaded
    with `load_state_dict(assign=True)`, or copied together with this module: the copy follows the
    copied network. The network is not kept alive: a copy of this module alone has none, and says so
    when it is used; construct one for the network at hand and load `state_dict` into it.

    Tensors may be passed in place of a network. The module then follows these very objects: pass the
    network where its tensors may be replaced.

    Args:
        player: one player's network, or an iterable of tensors.

    Raises:
        TypeError: `player` is one tensor, or an iterable that holds something else than tensors.
        ValueError: `player` has no parameters, or is empty.
    """

    steps: Int[Tensor, ""]

    def __init__(self, player: nn.Module | Iterable[Tensor]) -> None:
        super().__init__()
        if isinstance(player, Tensor):
            raise TypeError(
                "player must be a module or an iterable of tensors, got a single tensor"
            )
        if isinstance(player, nn.Module):
            parameters = dict(player.named_parameters())
            self._names: list[str] | None = list(parameters)
            tensors: list[Tensor] = [*parameters.values()]
            # A strong reference would register the network as a part of this module.
            self._references: tuple[Callable[[], Any], ...] = (weakref.ref(player),)
        else:
            tensors = list(player)
            for index, tensor in enumerate(tensors):
                if not isinstance(tensor, Tensor):
                    raise TypeError(
                        "player must hold tensors only,"
                        f" got {type(tensor).__name__} at position {index}"
                    )
            self._names = None
            self._references = tuple(TensorWeakRef(tensor) for tensor in tensors)
        if not tensors:
            raise ValueError("player must hold at least one parameter, got none")
        for index, tensor in enumerate(tensors):
            # bfloat16 has too few digits for a mean of more than some hundred steps.
            dtype = torch.promote_types(tensor.dtype, torch.float32)
            mean = torch.zeros_like(tensor, dtype=dtype, requires_grad=False)
            self.register_buffer(f"mean_{index}", mean)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=tensors[0].device))

    def penalty(self) -> Float[Tensor, ""]:
        """|| theta - mean of past theta ||^2, summed over all parameters; not yet weighted.

        Its gradient is 2 (theta - mean): the mean is a constant. 0 before the first `update()`.

        Raises:
            RuntimeError: the network or tensors no longer exist, or the network's parameters are not
                the ones that it had.
        """
        tensors, means = self._tensors(), self._means()
        if torch.compiler.is_compiling() or _under_transform():
            differences = [tensor - mean for tensor, mean in zip(tensors, means, strict=True)]
            total = torch.stack([torch.square(part).sum() for part in differences]).sum()
        else:
            total = _SquaredDistance.apply(means, *tensors)
        # Multiplied rather than branched on: reading `steps` would make a GPU wait.
        return total * (self.steps > 0)

    @torch.no_grad()
    def update(self) -> None:
        """Add the parameters' current values to the mean; call it after each optimizer step.

        Raises:
            RuntimeError: as in `penalty`.
        """
        means = self._means()
        values = [
            tensor if tensor.dtype == mean.dtype else tensor.to(mean.dtype)
            for tensor, mean in zip(self._tensors(), means, strict=True)
        ]
        self.steps += 1
        if self.steps.device.type == "cpu" and not torch.compiler.is_compiling():
            torch._foreach_lerp_(means, values, 1 / int(self.steps))
        else:  # without reading `steps`, which would make a GPU wait
            differences = torch._foreach_sub(values, means)
            torch._foreach_div_(differences, self.steps)
            torch._foreach_add_(means, differences)

    def _tensors(self) -> list[Tensor]:
        """The current tensors of the player."""
        objects = [_dereference(reference) for reference in self._references]
        if any(referent is None for referent in objects):
            raise RuntimeError(
                "what HistoricalAveraging follows no longer exists: it was deleted, or this module"
                " was copied or unpickled without it; construct HistoricalAveraging(network) for the"
                " network at hand and load this module's state_dict into it"
            )
        if self._names is None:
            return objects
        parameters = dict(objects[0].named_parameters())
        if list(parameters) != self._names:
            missing = [name for name in self._names if name not in parameters]
            added = [name for name in parameters if name not in self._names]
            raise RuntimeError(
                "the network that HistoricalAveraging follows must have the parameters that it had,"
                f" but lacks {missing} and has {added} in addition; construct another for it"
            )
        return list(parameters.values())

    def _means(self) -> list[Tensor]:
        # Looked up each time: moving the module to another device replaces its buffers.
        return [mean for name, mean in self.named_buffers(recurse=False) if name != "steps"]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "HistoricalAveraging":
        """Apply a conversion such as `.to` or `.half`, but keep the means in float32 or wider."""

        def in_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.dtype in (torch.float16, torch.bfloat16):
                return tensor.to(moved.device)
            return moved

        return super()._apply(in_float32, recurse)

    def __getstate__(self) -> dict[str, Any]:
        # For deepcopy and pickle: a copy follows what is copied with it.
        return {
            **self.__dict__,
            "_references": tuple(reference() for reference in self._references),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        references = tuple(_reference(referent) for referent in state["_references"])
        super().__setstate__({**state, "_references": references})


class _SquaredDistance(torch.autograd.Function):
    """The sum of all squared differences, with few operations on lists of tensors."""

    @staticmethod
    def forward(ctx: Any, means: list[Tensor], *tensors: Tensor) -> Tensor:
        differences = torch._foreach_sub(tensors, means)
        ctx.save_for_backward(*differences)
        ctx.tensors = tensors  # their values may change before backward, and are not needed
        return torch.stack(torch._foreach_norm(differences)).square().sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        differences, factor = ctx.saved_tensors, 2 * gradient
        if torch.is_grad_enabled() or _under_transform():  # second gradients, or many at once
            linked = zip(differences, ctx.tensors, strict=True)
            return None, *(factor * (part + (tensor - tensor.detach())) for part, tensor in linked)
        return None, *torch._foreach_mul(differences, factor)


def _reference(referent: nn.Module | Tensor | None) -> Callable[[], Any]:
    if isinstance(referent, nn.Module):
        return weakref.ref(referent)
    return TensorWeakRef(referent) if referent is not None else _no_object


def _dereference(reference: Callable[[], Any]) -> Any:
    if torch.compiler.is_compiling() and isinstance(reference, TensorWeakRef):
        return reference.ref()  # the wrapped reference, which can be traced
    return reference()


def _no_object() -> None:
    """Return None, as a reference does whose object no longer exists."""
