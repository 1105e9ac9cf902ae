"""The peer of MNIST: the plain PyTorch that a good engineer writes from the paper on a first day.

Networks and settings are those of the `mnist` recipe, Adam's epsilon included. What is plain about it:

* weight normalization by `torch.nn.utils.parametrizations`, noise by `torch.randn_like`, Adam as it comes;
* one forward pass each for labelled, unlabelled and generated images;
* a `DataLoader` that decodes the image files in every epoch, twice: once for each player's batches.

What it does not waste: real features and the discriminator's generated images are computed without a graph;
the generator's loss goes back to the generator's weights alone, where PyTorch's own DCGAN example also
computes the discriminator's gradients and throws them away, 5 % of a step; losses are not read in every
step. The EMA weights have the warm-up that is usual for them, so that they are good from the start.
"""

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from convergan.data.parquet import find_parquet

TEST_BATCH = 500


def normalized(
    layer: nn.Module, *, stdev: float, dim: int = 0, train_gain: bool = True
) -> nn.Module:
    """A layer with weight normalization: directions Normal(0, stdev), gains 1, biases 0."""
    nn.init.normal_(layer.get_parameter("weight"), std=stdev)
    nn.init.zeros_(layer.get_parameter("bias"))
    weight_norm(layer, dim=dim)
    gain = layer.get_parameter("parametrizations.weight.original0")
    nn.init.ones_(gain).requires_grad_(train_gain)
    return layer


@torch.no_grad()
def initialize_from_data(network: nn.Module, inputs: Tensor) -> None:
    """Gains and biases by which every normalized layer's outputs have mean 0 and deviation 1 on `inputs`."""

    def initialize(layer: Any, _: Any, outputs: Tensor) -> Tensor:
        axes = [dim for dim in range(outputs.ndim) if dim != 1]
        stdev, mean = torch.std_mean(outputs, dim=axes, correction=0, keepdim=True)
        gain = layer.parametrizations.weight.original0
        # A unit that is constant keeps its gain.
        stdev = torch.where(stdev > 1e-6, stdev, 1)
        gain.div_(stdev.view_as(gain))
        layer.bias.sub_(mean.flatten()).div_(stdev.flatten())
        return (outputs - mean) / stdev

    hooks = [
        layer.register_forward_hook(initialize)
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and hasattr(layer, "parametrizations")
    ]
    network.train()(inputs)
    for hook in hooks:
        hook.remove()


def without_gain(norm: nn.Module) -> nn.Module:
    """Batch normalization whose gain stays 1."""
    norm.get_parameter("weight").requires_grad_(False)
    return norm


class GaussianNoise(nn.Module):
    """Adds Gaussian noise while training."""

    def __init__(self, stdev: float) -> None:
        super().__init__()
        self.stdev = stdev

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        return inputs + self.stdev * torch.randn_like(inputs)


class Discriminator(nn.Module):
    """Dense layers with noise on the input and after each of them; gives logits and features."""

    def __init__(
        self,
        pixels: int = 784,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        classes: int = 10,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten(), GaussianNoise(0.3)]
        for inputs, outputs in pairwise([pixels, *hidden]):
            dense = normalized(nn.Linear(inputs, outputs), stdev=0.1, train_gain=False)
            layers += [dense, nn.ReLU(), GaussianNoise(0.5)]
        self.hidden = nn.Sequential(*layers[:-1])
        self.noise = layers[-1]
        self.output = normalized(nn.Linear(hidden[-1], classes), stdev=0.1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(images)
        return self.output(self.noise(features)), features


class Generator(nn.Module):
    """Dense softplus layers with batch normalization, and a sigmoid output."""

    def __init__(
        self,
        pixels: int = 784,
        hidden: Sequence[int] = (500, 500),
        latent_size: int = 100,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([latent_size, *hidden]):
            # Batch normalization takes a bias before it away again.
            dense = nn.Linear(inputs, outputs, bias=False)
            nn.init.xavier_uniform_(dense.weight)
            layers += [dense, without_gain(nn.BatchNorm1d(outputs)), nn.Softplus()]
        output = normalized(nn.Linear(hidden[-1], pixels), stdev=0.1)
        self.layers = nn.Sequential(*layers, output, nn.Sigmoid())

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class Peer:
    """Discriminator and generator, their optimizers, and the EMA of the discriminator, which is tested."""

    def __init__(
        self,
        discriminator: nn.Module | None = None,
        generator: nn.Module | None = None,
        *,
        learning_rate: float = 1.8e-3,
        distance: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
        latent_size: int = 100,
        device: str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.discriminator = (discriminator or Discriminator()).to(self.device)
        self.generator = (generator or Generator()).to(self.device)
        self.distance, self.latent_size = distance, latent_size
        self.ema = AveragedModel(self.discriminator, multi_avg_fn=self._move_ema)
        self.generator_weights = [w for w in self.generator.parameters() if w.requires_grad]
        self.discriminator_optimizer, self.generator_optimizer = (
            torch.optim.Adam(weights, lr=learning_rate, betas=(0.5, 0.999), eps=1e-4)
            for weights in (self.discriminator.parameters(), self.generator_weights)
        )

    def initialize(self, images: Tensor) -> None:
        """Set the discriminator's gains and biases from images, before the first step."""
        initialize_from_data(self.discriminator, images.to(self.device))
        self.ema.module.load_state_dict(self.discriminator.state_dict())

    def step(self, labelled: Tensor, labels: Tensor, unlabelled: Tensor, matched: Tensor) -> Tensor:
        """One step of both players; returns their losses."""
        return torch.stack(
            [self.discriminator_step(labelled, labels, unlabelled), self.generator_step(matched)]
        )

    def discriminator_step(self, labelled: Tensor, labels: Tensor, unlabelled: Tensor) -> Tensor:
        """The classes of the labelled images, real or generated of the others."""
        with torch.no_grad():
            generated = self.generator(self._latent(len(unlabelled)))
        labelled_logits, _ = self.discriminator(labelled)
        unlabelled_logits, _ = self.discriminator(unlabelled)
        generated_logits, _ = self.discriminator(generated)
        supervised = F.cross_entropy(labelled_logits, labels)
        real = F.softplus(-unlabelled_logits.logsumexp(dim=1)).mean()
        fake = F.softplus(generated_logits.logsumexp(dim=1)).mean()
        loss = supervised + 0.5 * (real + fake)
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        self.ema.update_parameters(self.discriminator)
        return loss.detach()

    def generator_step(self, matched: Tensor) -> Tensor:
        """Feature matching."""
        with torch.no_grad():
            _, real_features = self.discriminator(matched)
        _, features = self.discriminator(self.generator(self._latent(len(matched))))
        loss = self.distance(features.mean(dim=0), real_features.mean(dim=0))
        self.generator_optimizer.zero_grad()
        loss.backward(inputs=self.generator_weights)
        self.generator_optimizer.step()
        return loss.detach()

    def train_epoch(
        self,
        unlabelled: Iterable[tuple[Tensor, Tensor]],
        matched: Iterable[tuple[Tensor, Tensor]],
        labelled: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """One pass over two loaders of the unlabelled images; the labelled ones are repeated.

        Returns:
            Both players' losses, averaged over the steps.
        """
        self.discriminator.train()
        self.generator.train()
        labelled, labels = labelled.to(self.device), labels.to(self.device)
        losses, rows = [], torch.empty(0, dtype=torch.int64)
        for (images, _), (matched_images, _) in zip(unlabelled, matched, strict=True):
            while len(rows) < len(images):
                rows = torch.cat([rows, torch.randperm(len(labels))])
            batch_rows, rows = rows[: len(images)], rows[len(images) :]
            batches = (images.to(self.device), matched_images.to(self.device))
            losses.append(self.step(labelled[batch_rows], labels[batch_rows], *batches))
        return torch.stack(losses).mean(dim=0)

    @torch.no_grad()
    def test_errors(self, batches: Iterable[tuple[Tensor, Tensor]]) -> int:
        """Errors of the EMA weights on labelled images."""
        self.ema.eval()
        return sum(
            int((self.ema(images.to(self.device))[0].argmax(dim=1).cpu() != labels).sum())
            for images, labels in batches
        )

    def state_dict(self) -> dict[str, Any]:
        """State on which a later step depends, without the random numbers."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {name: part for name, part in vars(self).items() if hasattr(part, "state_dict")}

    def _move_ema(self, averages: Any, weights: Any, _: Any) -> None:
        """An EMA at the paper's rate, 1e-4, and at first over a tenth of the steps so far."""
        # Their number is also handed over, on the device: to read it there would be to wait for the step.
        steps = int(self.ema.n_averaged)
        decay = min(0.9999, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def _latent(self, count: int) -> Tensor:
        return torch.rand(count, self.latent_size, device=self.device)


def mnist_peer(device: str = "cpu", *, small: bool = False) -> Peer:
    """Players with the settings of MNIST; small ones are for trying a command."""
    if not small:
        return Peer(device=device)
    generator = Generator(hidden=(40,), latent_size=20)
    return Peer(Discriminator(hidden=(60, 40)), generator, latent_size=20, device=device)


class ParquetImages(Dataset[tuple[Tensor, int]]):
    """Images of the hub's parquet files, decoded when asked for: float [channels, height, width] and label.

    The first column holds the images: MNIST and CIFAR-10 have another name for it each.
    """

    def __init__(
        self, folder: Path, split: str, pixel_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        # The same files as ours, whatever their names.
        files = find_parquet(folder)[split]
        if not files:
            raise SystemExit(f"{folder}: expected parquet files of {split} images, got none")
        tables = [pyarrow.parquet.read_table(file) for file in files]
        self.encoded = [row["bytes"] for table in tables for row in table[0].to_pylist()]
        self.labels = [label for table in tables for label in table["label"].to_pylist()]
        self.low, self.high = pixel_range

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(BytesIO(self.encoded[index]))
        pixels = np.asarray(image, dtype=np.float32) * ((self.high - self.low) / 255) + self.low
        channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(channels_first), self.labels[index]


def labelled_images(
    images: Dataset[tuple[Tensor, int]], rows: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The few labelled images and their labels, decoded once."""
    pixels, labels = zip(*(images[row] for row in rows), strict=True)
    return torch.stack(pixels), torch.tensor(labels)


def some_images(images: Dataset[tuple[Tensor, int]], count: int = 500) -> Tensor:
    """Images drawn at random: by default as many as the authors initialize from."""
    rows = torch.randperm(len(images))[:count]  # type: ignore[arg-type]
    return torch.stack([images[int(row)][0] for row in rows])


def training_loader(
    images: Dataset[tuple[Tensor, int]], batch_size: int = 100, workers: int = 0
) -> DataLoader[tuple[Tensor, int]]:
    """Batches in another order in every epoch."""
    return DataLoader(
        images,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def evaluation_loader(
    images: Dataset[tuple[Tensor, int]], workers: int = 0
) -> DataLoader[tuple[Tensor, int]]:
    """All images, in their order."""
    return DataLoader(
        images, batch_size=TEST_BATCH, num_workers=workers, persistent_workers=workers > 0
    )
