"""The authors' networks for ImageNet, in the layout [batch, channels, height, width], and their updates."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.grad import conv2d_input

from authors.adam import Adam
from authors.virtual import virtually_normed

_STRIDES = (2, 2, 2, 1, 1, 2, 2)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """The numbers of zeros before and after by TensorFlow's SAME: as many before as after, or one fewer."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def convolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    leading, trailing = same_padding(x.shape[2], weight.shape[2], stride)
    return conv2d(pad(x, (leading, trailing, leading, trailing)), weight, stride=stride)


def deconvolved(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The gradient of a SAME convolution by its input; weight is [channels of x, channels out, 5, 5]."""
    side = x.shape[2] * stride
    leading, trailing = same_padding(side, weight.shape[2], stride)
    padded = side + leading + trailing
    size = (x.shape[0], weight.shape[1], padded, padded)
    gradient = conv2d_input(size, weight, x, stride=stride)
    return gradient[:, :, leading : leading + side, leading : leading + side]


def leaky_relu(x: Tensor) -> Tensor:
    return 0.6 * x + 0.4 * torch.abs(x)


def cross_normed(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Cross batch normalization: half of the channels by the first half of the batch, half by the second."""
    rows, channels = len(x) // 2, x.shape[1] // 2
    axes = (0, *range(2, x.ndim))
    parts = []
    for half, batch_half in (
        (x[:, :channels], x[:rows, :channels]),
        (x[:, channels:], x[rows:, channels:]),
    ):
        mean = torch.mean(batch_half, dim=axes, keepdim=True)
        variance = torch.mean((batch_half - mean) ** 2, dim=axes, keepdim=True)
        parts.append((half - mean) / torch.sqrt(variance + 1e-5))
    shape = [1, -1] + [1] * (x.ndim - 2)
    return torch.cat(parts, dim=1) * gain.reshape(shape) + shift.reshape(shape)


def minibatch_features(x: Tensor, kernels: Tensor) -> Tensor:
    """Similarity to the first and to the second half, [samples, 2 kernels], divided by the mask's sum."""
    rows, half = len(x), len(x) // 2
    activation = torch.tensordot(x, kernels, dims=([1], [0]))
    distances = torch.sum(
        torch.abs(activation[:, :, :, None] - activation.permute(1, 2, 0)[None]), dim=2
    )
    mask = (1 - torch.eye(rows, dtype=x.dtype))[:, None, :]
    masked = torch.exp(-distances) * mask
    first = torch.sum(masked[:, :, :half], dim=2) / torch.sum(mask[:, :, :half])
    second = torch.sum(masked[:, :, half:], dim=2) / torch.sum(mask[:, :, half:])
    return torch.cat([first, second], dim=1)


def cross_entropy(logits: Tensor, probability: float) -> Tensor:
    """The mean cross-entropy of the sigmoid of the logits with a probability."""
    return torch.mean(torch.logaddexp(torch.zeros_like(logits), logits) - probability * logits)


class ImageNet:
    """The networks of both players, and the update that moves both by one forward pass.

    Args:
        discriminator: `W0` to `W6`, `gain0` to `gain7`, `dense` [inputs, features], `kernels`
            [features, kernels, dimensions], `output` [all features, classes + 1].
        generator: `dense` [latent, maps], `gain0` to `gain5`, `W0` to `W5`, and `bias`, the output's.
        reference: the reference's latent and, for each of the six sizes, maps of noise.
    """

    def __init__(
        self,
        discriminator: Mapping[str, Tensor],
        generator: Mapping[str, Tensor],
        reference: Sequence[Tensor],
    ) -> None:
        self.d = {name: weight.clone() for name, weight in discriminator.items()}
        self.g = {name: weight.clone() for name, weight in generator.items()}
        for weights, count in ((self.d, 8), (self.g, 6)):
            for number in range(count):
                weights[f"shift{number}"] = torch.zeros_like(weights[f"gain{number}"])
        self.d["bias"] = torch.zeros(self.d["output"].shape[1])
        self.reference = list(reference)
        for weight in (*self.d.values(), *self.g.values()):
            weight.requires_grad_()
        self.adam = Adam([*self.d.values()], form="tensorflow")
        self.adam_of_generator = Adam([*self.g.values()], form="tensorflow")

    def judged(self, images: Tensor, noise: Tensor) -> Tensor:
        """Logits of all classes and, last, of "generated", of a real half and a generated one."""
        d = self.d
        x = images + 0.1 * noise
        for number, stride in enumerate(_STRIDES):
            x = convolved(x, d[f"W{number}"], stride)
            x = leaky_relu(cross_normed(x, d[f"gain{number}"], d[f"shift{number}"]))
        x = x.flatten(1) @ d["dense"]
        x = leaky_relu(cross_normed(x, d["gain7"], d["shift7"]))
        x = torch.cat([x, minibatch_features(x, d["kernels"])], dim=1)
        return x @ d["output"] + d["bias"]

    def generated(self, noise: Sequence[Tensor]) -> Tensor:
        g = self.g
        first = (-1, len(g["gain0"]), *self.reference[1].shape[2:])
        x = (noise[0] @ g["dense"]).reshape(first)
        reference = (self.reference[0] @ g["dense"]).reshape(first)
        for number in range(6):
            gain, shift = g[f"gain{number}"], g[f"shift{number}"]
            x, reference = virtually_normed(x, reference, gain, shift, 1e-5)
            x = torch.cat([torch.clamp(x, min=0), noise[number + 1]], dim=1)
            reference = torch.clamp(reference, min=0)
            reference = torch.cat([reference, self.reference[number + 1]], dim=1)
            stride = 1 if number == 5 else 2
            x = deconvolved(x, g[f"W{number}"], stride)
            reference = deconvolved(reference, g[f"W{number}"], stride)
        return torch.tanh(x + g["bias"][None, :, None, None])

    def train(
        self,
        images: Tensor,
        labels: Tensor,
        latent: Sequence[Tensor],
        noise: Tensor,
        rate: float,
    ) -> None:
        """One update of both players: the images are labelled and real, as many are generated."""
        half = len(images)
        logits = self.judged(torch.cat([images, self.generated(latent)]), noise)
        real = torch.logsumexp(logits[:, :-1], dim=1) - logits[:, -1]
        class_loss = torch.mean(
            torch.logsumexp(logits[:half], dim=1) - logits[torch.arange(half), labels]
        )
        loss = cross_entropy(real[:half], 0.75) + cross_entropy(real[half:], 0.0) + class_loss
        generator_loss = cross_entropy(real[half:], 0.75 / 2)
        gradients = torch.autograd.grad(loss, [*self.d.values()], retain_graph=True)
        self.adam_of_generator.step(generator_loss, rate)
        self.adam.move(gradients, rate)
