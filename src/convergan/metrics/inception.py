"""The Inception network of December 2015, as the paper's score and every Frechet Inception distance use it.

Szegedy et al., "Rethinking the Inception Architecture" (2015, arXiv 1512.00567), in the variant of the graph
`inception-2015-12-05`: 1008 outputs, bilinear resize of TensorFlow 1, average pools that leave the padding
out, a max pool in the very last block, batch normalization with epsilon .001. The parameters' names are those
of the public PyTorch conversion (torch-fidelity's release `weights-inception-2015-12-05-6726825d.pth`).

For speed, batch normalization is folded into the convolutions when weights are loaded, average pools and the
1x1 convolutions after them, which commute, are swapped, and 1x1 convolutions of the same input are merged.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from convergan.errors import UserError

INPUT_SIZE_PX = 299
FEATURES = 2048
OUTPUTS = 1008
_BATCH_NORM_EPSILON = 1e-3

_Maps = Float[Tensor, "batch _ height width"]
_NewMaps = Float[Tensor, "batch _ _ _"]

_Take = Callable[[str, torch.Size], Tensor]
"""Function that takes the entry of a name out of a state dict, and checks its shape."""


class InceptionOutput(NamedTuple):
    """Features and logits that the metrics are computed from."""

    features: Float[Tensor, "batch 2048"]
    """Spatial means of the last block, from which FID, KID, precision and recall are computed."""

    logits: Float[Tensor, "batch 1008"]
    """Logits without their bias, as the paper's authors computed them."""


class InceptionNetwork(nn.Module):
    """Network from uint8 images of any size to features and logits.

    The weights are random until `load_weights`. It is always in evaluation mode, as nothing in it trains.
    """

    num_features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.Mixed_5b = _BlockA(192, pooled=32)
        self.Mixed_5c = _BlockA(256, pooled=64)
        self.Mixed_5d = _BlockA(288, pooled=64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, width=128)
        self.Mixed_6c = _BlockC(768, width=160)
        self.Mixed_6d = _BlockC(768, width=160)
        self.Mixed_6e = _BlockC(768, width=192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, max_pool=False)
        self.Mixed_7c = _BlockE(2048, max_pool=True)
        self.fc = nn.Linear(FEATURES, OUTPUTS)
        self.requires_grad_(False)
        self.eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def load_weights(self, state: Mapping[str, Tensor], origin: str = "state") -> None:
        """Load the weights of the public conversion, and fold batch normalization into them.

        Args:
            state: the state dict of the conversion.
            origin: the name of the state dict in messages.

        Raises:
            UserError: an entry is missing, is not expected, or has another shape.
        """
        left = dict(state)

        def take(name: str, shape: torch.Size) -> Tensor:
            if name not in left:
                raise UserError(f"{origin}: expected an entry {name}, got none")
            value = left.pop(name)
            if value.shape != shape:
                raise UserError(
                    f"{origin}: expected {name} of shape {tuple(shape)}, got {tuple(value.shape)}"
                )
            return value.double()

        for name, module in self.named_modules():
            if isinstance(module, _Convolution):
                module.load(take, name)
            elif isinstance(module, _Pointwise):
                module.load(take, name.rpartition(".")[0])
        for name in ("weight", "bias"):
            parameter = self.fc.get_parameter(name)
            parameter.copy_(take(f"fc.{name}", parameter.shape))
        unknown = [name for name in left if not name.endswith("num_batches_tracked")]
        if unknown:
            raise UserError(f"{origin}: expected no entry {unknown[0]}")

    def forward(self, images: UInt8[Tensor, "batch channels height width"]) -> InceptionOutput:
        """Compute features and logits of uint8 images with 1 or 3 channels.

        Raises:
            ValueError: the images are not uint8, or have another number of channels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"images: expected uint8 [batch, 1 or 3, height, width], got {images.dtype} "
                f"{list(images.shape)}"
            )
        x = resize_like_tensorflow(images.to(self.fc.weight.dtype), INPUT_SIZE_PX)
        x = ((x - 128) / 128).expand(-1, 3, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        features = x.mean(dim=(2, 3), dtype=self.fc.weight.dtype)
        # In full also where the rest is in bf16: it is cheap, and logits are exponents.
        with torch.autocast(x.device.type, enabled=False):
            return InceptionOutput(features, features @ self.fc.weight.t())

    def train(self, mode: bool = True) -> "InceptionNetwork":
        """Stay in evaluation mode, also as a part of a module that trains."""
        return super().train(False)


def resize_like_tensorflow(
    images: Float[Tensor, "batch channels height width"], size_px: int
) -> Float[Tensor, "batch channels size size"]:
    """Bilinear resize to a square, as TensorFlow 1 does it without `align_corners`.

    Output pixel i lies between the input's pixels floor(s i) and the next one, with s = input size / output
    size in 32 bits: corners are aligned at the top left alone, and nothing is averaged when shrinking.
    """
    for axis in (3, 2):
        place = torch.arange(size_px, dtype=torch.float32, device=images.device)
        place *= torch.tensor(images.shape[axis] / size_px, dtype=torch.float32)
        low = place.long()
        high = (low + 1).clamp_max(images.shape[axis] - 1)
        share = (place - low).to(images.dtype).view(-1, *[1] * (3 - axis))
        images = torch.lerp(images.index_select(axis, low), images.index_select(axis, high), share)
    return images


class _Convolution(nn.Module):
    """Convolution, batch normalization and ReLU, folded into one convolution and its bias."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)

    def load(self, take: _Take, name: str) -> None:
        """Set the weights from the entries of the layer `name`."""
        weight, bias = _folded(take, name, self.convolution.weight.shape)
        self.convolution.weight.copy_(weight)
        self.convolution.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, x: _Maps) -> _NewMaps:
        return F.relu_(self.convolution(x))


class _Pointwise(nn.Module):
    """The 1x1 convolutions that begin the branches of a block, as one.

    Args:
        inputs: channels of the input.
        outputs: channels of each branch, by name.
        pooled: the branch, the last one, that starts with an average pool.
    """

    def __init__(self, inputs: int, outputs: dict[str, int], *, pooled: str | None = None) -> None:
        super().__init__()
        self.outputs, self.pooled = outputs, pooled
        self.convolution = nn.Conv2d(inputs, sum(outputs.values()), 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(sum(outputs.values())))

    def load(self, take: _Take, block: str) -> None:
        """Set the weights from the entries of all branches of a block."""
        inputs = self.convolution.in_channels
        folded = [
            _folded(take, f"{block}.{name}", torch.Size([count, inputs, 1, 1]))
            for name, count in self.outputs.items()
        ]
        self.convolution.weight.copy_(torch.cat([weight for weight, _ in folded]))
        self.bias.copy_(torch.cat([bias for _, bias in folded]))

    def forward(self, x: _Maps) -> list[_Maps]:
        branches = list(self.convolution(x).split(list(self.outputs.values()), dim=1))
        if self.pooled:
            branches[-1] = _average_pool(branches[-1])
        biases = self.bias.view(1, -1, 1, 1).split(list(self.outputs.values()), dim=1)
        return [F.relu_(branch + bias) for branch, bias in zip(branches, biases, strict=True)]


def _row(inputs: int, outputs: int, length: int) -> _Convolution:
    return _Convolution(inputs, outputs, (1, length), padding=(0, length // 2))


def _column(inputs: int, outputs: int, length: int) -> _Convolution:
    return _Convolution(inputs, outputs, (length, 1), padding=(length // 2, 0))


class _BlockA(nn.Module):
    """Inception block at 35x35."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.pointwise = _Pointwise(
            inputs,
            {"branch1x1": 64, "branch5x5_1": 48, "branch3x3dbl_1": 64, "branch_pool": pooled},
            pooled="branch_pool",
        )
        self.branch5x5_2 = _Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3, padding=1)

    def forward(self, x: _Maps) -> _NewMaps:
        single, five, three, pool = self.pointwise(x)
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(three))
        return torch.cat([single, self.branch5x5_2(five), three, pool], 1)


class _BlockB(nn.Module):
    """Reduction block from 35x35 to 17x17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3, stride=2)

    def forward(self, x: _Maps) -> _NewMaps:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class _BlockC(nn.Module):
    """Inception block at 17x17."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.pointwise = _Pointwise(
            inputs,
            {"branch1x1": 192, "branch7x7_1": width, "branch7x7dbl_1": width, "branch_pool": 192},
            pooled="branch_pool",
        )
        self.branch7x7_2 = _row(width, width, 7)
        self.branch7x7_3 = _column(width, 192, 7)
        self.branch7x7dbl_2 = _column(width, width, 7)
        self.branch7x7dbl_3 = _row(width, width, 7)
        self.branch7x7dbl_4 = _column(width, width, 7)
        self.branch7x7dbl_5 = _row(width, 192, 7)

    def forward(self, x: _Maps) -> _NewMaps:
        single, seven, double, pool = self.pointwise(x)
        seven = self.branch7x7_3(self.branch7x7_2(seven))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(double))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([single, seven, double, pool], 1)


class _BlockD(nn.Module):
    """Reduction block from 17x17 to 8x8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.pointwise = _Pointwise(inputs, {"branch3x3_1": 192, "branch7x7x3_1": 192})
        self.branch3x3_2 = _Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_2 = _Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Convolution(192, 192, 3, stride=2)

    def forward(self, x: _Maps) -> _NewMaps:
        three, seven = self.pointwise(x)
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(seven)))
        return torch.cat([self.branch3x3_2(three), seven, F.max_pool2d(x, 3, stride=2)], 1)


class _BlockE(nn.Module):
    """Inception block at 8x8; in the graph of 2015 the second one pools by maximum, the first by average."""

    def __init__(self, inputs: int, *, max_pool: bool) -> None:
        super().__init__()
        branches = {"branch1x1": 320, "branch3x3_1": 384, "branch3x3dbl_1": 448}
        self.branch_pool = _Convolution(inputs, 192, 1) if max_pool else None
        self.pointwise = (
            _Pointwise(inputs, branches)
            if max_pool
            else _Pointwise(inputs, branches | {"branch_pool": 192}, pooled="branch_pool")
        )
        self.branch3x3_2a = _row(384, 384, 3)
        self.branch3x3_2b = _column(384, 384, 3)
        self.branch3x3dbl_2 = _Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _row(384, 384, 3)
        self.branch3x3dbl_3b = _column(384, 384, 3)

    def forward(self, x: _Maps) -> _NewMaps:
        single, three, double, *pool = self.pointwise(x)
        if self.branch_pool is not None:
            pool = [self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))]
        double = self.branch3x3dbl_2(double)
        return torch.cat(
            [
                single,
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                *pool,
            ],
            1,
        )


def _average_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _folded(take: _Take, name: str, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch normalization, in float64.

    g (w * x - m) / sqrt(v + eps) + b  =  (g / sqrt(v + eps)) w * x + (b - g m / sqrt(v + eps))
    """
    weight = take(f"{name}.conv.weight", shape)
    outputs = shape[:1]
    gain, bias, mean, variance = (
        take(f"{name}.bn.{part}", outputs)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / torch.sqrt(variance + _BATCH_NORM_EPSILON)
    return weight * scale.view(-1, 1, 1, 1), bias - scale * mean
