"""Layers of the authors' Theano code (MNIST, CIFAR-10, SVHN). Dense weights are [inputs, units]."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input


def leaky_relu(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.2 * x)


def log_sum_exp(x: Tensor) -> Tensor:
    highest = x.max(dim=1).values
    return highest + torch.log(torch.sum(torch.exp(x - highest[:, None]), dim=1))


def softplus(x: Tensor) -> Tensor:
    return torch.maximum(x, torch.zeros_like(x)) + torch.log1p(torch.exp(-torch.abs(x)))


def weight_normed(theta: Tensor, scale: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """theta scale / sqrt(epsilon + |theta|^2), the length taken over the axes of a unit's inputs."""
    length = torch.sqrt(epsilon + torch.sum(theta**2, dim=axes, keepdim=True))
    return theta * (scale.reshape(length.shape) / length)


def convolved(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Kernels are correlated where Theano convolves: drawn from a symmetric distribution they are alike."""
    return conv2d(x, weight, stride=stride, padding=padding)


def deconvolved(x: Tensor, weight: Tensor, side: int) -> Tensor:
    """The gradient, by its input of `side` px, of a 5x5 convolution of stride 2 with half padding.

    weight is [channels of x, channels out, 5, 5].
    """
    size = (x.shape[0], weight.shape[1], side, side)
    return conv2d_input(size, weight, x, stride=2, padding=2)


def standardized(t: Tensor, deviation: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """The data-dependent initialization of a layer with outputs t: standardized outputs, scale and bias."""
    axes = tuple(axis for axis in range(t.ndim) if axis != 1)
    shape = [1, -1] + [1] * (t.ndim - 2)
    mean = torch.mean(t, dim=axes)
    centred = t - mean.reshape(shape)
    scale = deviation / torch.sqrt(torch.mean(centred**2, dim=axes))
    return centred * scale.reshape(shape), scale, -mean * scale


def batch_normed(x: Tensor, bias: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Batch normalization by the statistics of the batch, without a gain."""
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    shape = [1, -1] + [1] * (x.ndim - 2)
    centred = x - torch.mean(x, dim=axes, keepdim=True)
    variance = torch.mean(centred**2, dim=axes, keepdim=True)
    return centred / torch.sqrt(epsilon + variance) + bias.reshape(shape)


def distances(x: Tensor, theta: Tensor, log_scale: Tensor) -> Tensor:
    """L1 distances [sample, kernel, sample] of minibatch discrimination, a sample being far from itself."""
    weight = theta * (torch.exp(log_scale) / torch.sqrt(torch.sum(theta**2, dim=0)))[None]
    activation = torch.tensordot(x, weight, dims=([1], [0]))
    differences = torch.abs(activation[:, :, :, None] - activation.permute(1, 2, 0)[None])
    itself = 1e6 * torch.eye(len(x), dtype=x.dtype)
    return torch.sum(differences, dim=2) + itself[:, None, :]


def with_similarities(x: Tensor, theta: Tensor, log_scale: Tensor, bias: Tensor) -> Tensor:
    """The features and, beside them, the sums of similarities over the other samples."""
    sums = torch.sum(torch.exp(-distances(x, theta, log_scale)), dim=2)
    return torch.cat([x, sums + bias[None]], dim=1)


def similarity_initialized(
    x: Tensor, theta: Tensor, log_scale: Tensor, group_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The data-dependent initialization of minibatch discrimination: its features, log scale and bias.

    Samples are compared in groups of `group_size`; in the authors' code all are one group.
    """
    group_distances = [distances(part, theta, log_scale) for part in x.split(group_size)]
    nearest = torch.cat([torch.min(part, dim=2).values for part in group_distances])
    half_nearest = 0.5 * torch.mean(nearest, dim=0)
    sums = torch.cat(
        [
            torch.sum(torch.exp(-part / half_nearest[None, :, None]), dim=2)
            for part in group_distances
        ]
    )
    mean = torch.mean(sums, dim=0)
    log_scale = log_scale - torch.log(half_nearest)[:, None]
    return torch.cat([x, sums - mean[None]], dim=1), log_scale, -mean
