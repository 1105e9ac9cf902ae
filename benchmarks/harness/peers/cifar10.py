"""The peer of CIFAR-10: its networks, for the players of `harness.peers.mnist`.

Networks and settings are those of the `cifar10` recipe, written as plainly as PyTorch allows: Adam's epsilon
is outside the root, 1e-4, and the length of weights has none.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from harness.peers.mnist import Peer, normalized, without_gain


class Discriminator(nn.Module):
    """Nine convolutions with dropout between their blocks and a global mean; gives logits and features."""

    def __init__(self, width: int = 96, channels: int = 3, classes: int = 10) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int, **options: int) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, outputs, kernel, **options)  # type: ignore[arg-type]
            return [normalized(layer, stdev=0.05, train_gain=False), nn.LeakyReLU(0.2)]

        wide = 2 * width
        self.layers = nn.Sequential(
            nn.Dropout(0.2),
            *conv(channels, width, 3, padding=1),
            *conv(width, width, 3, padding=1),
            *conv(width, width, 3, padding=1, stride=2),
            nn.Dropout(0.5),
            *conv(width, wide, 3, padding=1),
            *conv(wide, wide, 3, padding=1),
            *conv(wide, wide, 3, padding=1, stride=2),
            nn.Dropout(0.5),
            *conv(wide, wide, 3),
            *conv(wide, wide, 1),
            *conv(wide, wide, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.output = normalized(nn.Linear(wide, classes), stdev=0.1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(images)
        return self.output(features), features


class Generator(nn.Module):
    """A dense layer and three transposed convolutions with batch normalization, and a tanh output."""

    def __init__(self, width: int = 512, channels: int = 3, latent_size: int = 100) -> None:
        super().__init__()

        def doubling(inputs: int, outputs: int, bias: bool) -> nn.ConvTranspose2d:
            layer = nn.ConvTranspose2d(
                inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=bias
            )
            nn.init.normal_(layer.weight, std=0.05)
            return layer

        dense = nn.Linear(latent_size, width * 4 * 4, bias=False)
        nn.init.normal_(dense.weight, std=0.05)
        # Weight normalization is per output channel, the second axis of a transposed convolution.
        output = normalized(doubling(width // 4, channels, bias=True), stdev=0.05, dim=1)
        self.layers = nn.Sequential(
            dense,
            without_gain(nn.BatchNorm1d(width * 4 * 4)),
            nn.ReLU(),
            nn.Unflatten(1, (width, 4, 4)),
            doubling(width, width // 2, bias=False),
            without_gain(nn.BatchNorm2d(width // 2)),
            nn.ReLU(),
            doubling(width // 2, width // 4, bias=False),
            without_gain(nn.BatchNorm2d(width // 4)),
            nn.ReLU(),
            output,
            nn.Tanh(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


def cifar10_peer(device: str = "cpu", *, small: bool = False) -> Peer:
    """Players with the settings of CIFAR-10; small ones are for trying a command."""
    discriminator = Discriminator(width=4) if small else Discriminator()
    generator = Generator(width=16) if small else Generator()
    return Peer(discriminator, generator, learning_rate=3e-4, distance=F.l1_loss, device=device)
