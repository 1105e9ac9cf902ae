"""A linear layer on the features of a network that was trained on photographs and stays as it is."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convergan.networks.backbones import STEP_PX, open_backbone
from convergan.networks.classification import batch_size
from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.recipes.networks import PretrainedSettings


class PretrainedDiscriminator(Discriminator):
    """A linear classifier on pooled features of a frozen network.

    Images are scaled, keeping their aspect, to about `size_px`^2 pixels, grey ones repeated in three
    channels, and normalized as the network was trained. Its weights are random until `load_pretrained`, or a
    state dict, sets them; they are part of the state dict, and require no gradients.

    Args:
        settings: the network's name, and the size of its input images.
        image_shape: channels (1 or 3), height and width.
        outputs: number of classes.

    Raises:
        UserError: a package is missing, or there is no such network.
    """

    pixel_range = (0.0, 1.0)

    def __init__(
        self, settings: PretrainedSettings, image_shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        self._settings = settings
        self.seen_size_px = _seen_size(image_shape[1:], settings.size_px)
        self.backbone = open_backbone(settings.model, pretrained=False).eval()
        self.backbone.requires_grad_(False)
        self.output = nn.Linear(self.backbone.features, outputs)

    def load_pretrained(self) -> None:
        """Load the trained weights of the frozen network.

        Raises:
            UserError: they are not there, and cannot be downloaded.
        """
        trained = open_backbone(self._settings.model, pretrained=True)
        self.backbone.load_state_dict(trained.state_dict())

    def train(self, mode: bool = True) -> "PretrainedDiscriminator":
        """Set the mode of all but the frozen network, which stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        group_sizes: Sequence[int] | None = None,
    ) -> DiscriminatorOutput:
        # A few at a time: maps that stay in the caches of a CPU take a third of the time.
        size = batch_size(self.seen_size_px, images.device.type)
        features = torch.cat([self._features(part) for part in images.split(size)])
        return DiscriminatorOutput(self.output(features), features)

    def _features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features"]:
        height, width = self.seen_size_px
        shrunk = images.shape[2] > height or images.shape[3] > width
        resized = F.interpolate(images, (height, width), mode="bilinear", antialias=shrunk)
        features: Tensor = self.backbone(resized.expand(-1, 3, -1, -1))
        return features


def _seen_size(image_size: tuple[int, int], size_px: int) -> tuple[int, int]:
    """Height and width of about `size_px`^2 pixels in the aspect of the image, in steps of `STEP_PX`."""
    height, width = image_size
    stretch = math.sqrt(height / width)

    def rounded(side: float) -> int:
        return max(STEP_PX, STEP_PX * round(side / STEP_PX))

    return rounded(size_px * stretch), rounded(size_px / stretch)
