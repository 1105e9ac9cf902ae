"""Peers with a small network: six convolutions, on the labels alone, and with consistency (FixMatch).

One cycle of AdamW over the time that they have; the statistics of batch normalization are taken again from
plain images at the end, since those of augmented images are different.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from harness.few_labels.budget import Budget, Predict
from harness.few_labels.data import TaskData
from harness.measure import interleaved_times, medians
from harness.peers.views import Views

RATE, LABELLED, UNLABELLED, SUPERVISED_BATCH, THRESHOLD = 3e-3, 32, 96, 64, 0.9
SECONDS_OF_THE_SHORT_ONE = 35.0

Loss = Callable[[nn.Module], Tensor]


class SmallCNN(nn.Sequential):
    """Six 3x3 convolutions, 32 to 96 wide, with batch normalization and two poolings."""

    def __init__(self, channels: int, classes: int) -> None:
        layers: list[nn.Module] = []
        for number, width in enumerate((32, 32, 64, 64, 96, 96)):
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            if number in (1, 3):
                layers.append(nn.MaxPool2d(2))
            channels = width
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
        )


def small_cnn(data: TaskData, budget: Budget) -> Predict:
    """The small network on the labels, augmented."""
    views = _views(data)
    images, labels = _floats(data.images[data.labelled]), torch.from_numpy(data.labels)
    batches = _orders(len(images), SUPERVISED_BATCH)

    def loss(network: nn.Module) -> Tensor:
        batch = next(batches)
        return F.cross_entropy(network(views.labelled(images[batch])), labels[batch])

    return _train(data, budget, loss)


def short_small_cnn(data: TaskData, budget: Budget) -> Predict:
    """The small network on the labels, for at most 35 seconds."""
    return small_cnn(data, budget.at_most(SECONDS_OF_THE_SHORT_ONE))


def consistency(data: TaskData, budget: Budget) -> Predict:
    """The small network with consistency: a strong view gets the class of a weak one, if that is certain."""
    views = _views(data)
    labels = torch.from_numpy(data.labels)
    labelled, unlabelled = (
        _orders(len(rows), size)
        for rows, size in ((data.labelled, LABELLED), (data.images, UNLABELLED))
    )

    def loss(network: nn.Module) -> Tensor:
        batch = next(labelled)
        labelled_views = views.labelled(_floats(data.images[data.labelled[batch]]))
        unlabelled_images = _floats(data.images[next(unlabelled)])
        with torch.no_grad():
            sure, pseudo_labels = network(views.weak(unlabelled_images)).softmax(dim=1).max(dim=1)
        logits = network(torch.cat([labelled_views, views.strong(unlabelled_images)]))
        losses = F.cross_entropy(logits[LABELLED:], pseudo_labels, reduction="none")
        supervised = F.cross_entropy(logits[:LABELLED], labels[batch])
        return supervised + (losses * (sure > THRESHOLD)).mean()

    return _train(data, budget, loss)


def _train(data: TaskData, budget: Budget, loss: Loss) -> Predict:
    torch.manual_seed(budget.seed)
    network: nn.Module = SmallCNN(data.images.shape[3], data.classes)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    while (share := budget.share_used) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * one_cycle(share)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=budget.bf16):
            minimized = loss(network)
        minimized.backward()
        optimizer.step()
    rows = np.random.default_rng(budget.seed).permutation(len(data.images))[:2000]
    update_bn(_floats(data.images[rows]).split(500), network)
    network.eval()

    @torch.no_grad()
    def predict(images: np.ndarray) -> np.ndarray:
        batches = _floats(images).split(500)
        return torch.cat([network(batch).argmax(dim=1) for batch in batches]).numpy()

    return predict


def bf16_is_quicker() -> bool:
    """True if a step of the network takes less time in bf16 than in fp32 on this machine."""
    network: nn.Module = SmallCNN(3, 10)
    network = network.to(memory_format=torch.channels_last)
    images = torch.rand(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    def step(bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(images).square().mean()
        loss.backward()

    seconds = medians(
        interleaved_times({"bf16": lambda: step(True), "fp32": lambda: step(False)}, repeats=5)
    )
    return seconds["bf16"] < seconds["fp32"]


def one_cycle(share: float) -> float:
    """The rate of one cycle, 0 to 1: up to .3 of the time from 1/25, then down to nothing."""
    if share < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * share / 0.3)) / 2
    return (1 + math.cos(math.pi * min(1.0, (share - 0.3) / 0.7))) / 2


def _orders(count: int, size: int) -> Iterator[np.ndarray]:
    """Batches of indices of `count` images, each of them as often as any other."""
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, torch.randperm(count).numpy()])
        yield waiting[:size]
        waiting = waiting[size:]


def _views(data: TaskData) -> Views:
    return Views(data.images.shape[1], photographs=data.images.shape[3] == 3)


def _floats(images: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255
    return pixels.contiguous(memory_format=torch.channels_last)
