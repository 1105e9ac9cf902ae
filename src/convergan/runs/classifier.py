"""A run's classifier with all that its use needs: sizes, classes, the range of its pixels."""

from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from convergan.errors import UserError
from convergan.networks.classification import classified_pixels
from convergan.networks.interface import Discriminator, DiscriminatorOutput


def require_evaluation_mode(module: nn.Module, name: str) -> None:
    """Check that no part of a module is in training mode.

    Raises:
        UserError: a part is; the message names the argument `name`.
    """
    if any(part.training for part in module.modules()):
        raise UserError(
            f"{name}: expected a module in evaluation mode, got {type(module).__name__} in training mode;"
            " its method eval() sets it"
        )


class Classifier(nn.Module):
    """The classifier of a finished run, for images as in files: 8 bits, 0 to 255.

    `load_classifier` makes one, with the EMA weights of the run, in evaluation mode.

    Attributes:
        network: the run's discriminator, which takes floats in `pixel_range`, such as for fine-tuning.
        classes: the name of each class, in the order of the logits.
        image_shape: channels (1 or 3), height and width in pixels of the training images.
        resized: true if images of another size are scaled and cropped to `image_shape`, as in training.

    Example:
        >>> import torch
        >>> from convergan import load_classifier
        >>> classifier = load_classifier("runs/mine")
        >>> images = torch.zeros(5, *classifier.image_shape, dtype=torch.uint8)
        >>> output = classifier(images)
        >>> output.logits.shape == (5, len(classifier.classes))
        True
    """

    def __init__(
        self,
        network: Discriminator,
        *,
        classes: tuple[str, ...],
        image_shape: tuple[Literal[1, 3], int, int],
        resized: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self.classes, self.image_shape, self.resized = classes, image_shape, resized

    @property
    def pixel_range(self) -> tuple[float, float]:
        """The values of black and white in the input of `network`."""
        return self.network.pixel_range

    def forward(self, images: UInt8[Tensor, "batch channels height width"]) -> DiscriminatorOutput:
        """Compute logits and features of images, in fp32, without gradients, each independent of the others.

        Args:
            images: uint8 of `image_shape`, on the device of the weights.

        Returns:
            `logits` [batch, classes] and `features` [batch, features].

        Raises:
            UserError: images of another size or type; `predict` resizes where the run did.
        """
        channels, height, width = self.image_shape
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise UserError(
                "images: expected uint8 [batch, channels, height, width], got"
                f" {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            )
        got_channels, got_height, got_width = images.shape[1:]
        if (got_height, got_width) != (height, width):
            raise UserError(
                f"images: expected {width}x{height} pixels (width x height), as the run was trained on, got"
                f" {got_width}x{got_height}"
            )
        if got_channels != channels:
            raise UserError(f"images: expected channels: {channels}, got {got_channels}")
        return classified_pixels(self.network, images.permute(0, 2, 3, 1))
