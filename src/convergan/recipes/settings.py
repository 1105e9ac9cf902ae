"""The settings of a run: everything that decides its result, each field documented beneath it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from convergan.errors import UserError


def _require(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UserError(f"{name}: expected {expected}, got {got!r}")


def _require_kernels(kernels: int, kernel_size: int) -> None:
    _require(kernels >= 0, "networks.minibatch-kernels", "0 or more", kernels)
    _require(kernel_size > 0, "networks.minibatch-kernel-size", "1 or more", kernel_size)


class Settings:
    """What all settings have in common: a name that is not declared is refused when read from a file."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Which images, and how the labelled ones among them are divided."""

    source: str = "folder"
    """`digits` (inside scikit-learn), `folder` (your own images), or the id of a Hugging Face data set;
    `mnist`, `cifar10`, `svhn` and `imagenet` are short for the usual ids."""

    path: Path | None = None
    """Folder with the data: parquet files named train-*.parquet and test-*.parquet; or
    <class>/*.png with optional unlabelled/ and test/<class>/; or images and a metadata.csv of
    file_name,label. Without it the source is downloaded (or, for digits, is already there)."""

    size_px: int | None = None
    """Resize every image to this height and width: the shorter side is scaled to it, the longer one
    cropped at the centre. Unset: all images must already have one size."""

    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour. Unset: grey if every image is grey."""

    skip_unreadable: bool = False
    """Go on without images that cannot be read; they are counted, and listed in manifest.json."""

    validation_share: float = 0.0
    """Share of the labelled images held out, never trained on, to choose the best epoch by. 0: the last
    epoch is the result."""

    test_share: float = 0.2
    """Share of the labels held out as the test set where the data has none."""

    folds: int | None = None
    """Where the data has no test set: estimate the errors by this many-fold cross-validation of the
    labels and train the result on all of them; 0 holds out `test_share` instead. Unset: 4 below
    200 labels, else 0."""

    split_seed: int | None = None
    """Decides which images are labelled, held out and in which fold. Unset: the run's seed. Members of
    an ensemble share one split seed and differ in their seed."""

    resident_mb: int = 4096
    """Decoded images up to this many megabytes are held in (device) memory; above, they are read
    from a memory-mapped file."""

    cache: Path | None = None
    """Folder of the decoded images. Unset: $CONVERGAN_CACHE, else ~/.cache/convergan."""

    @property
    def resident_bytes(self) -> int:
        """`resident_mb` in bytes."""
        return self.resident_mb * 10**6

    def __post_init__(self) -> None:
        _require(
            self.size_px is None or self.size_px >= 8, "data.size-px", "at least 8", self.size_px
        )
        _require(
            0 <= self.validation_share < 1,
            "data.validation-share",
            "0 or more, below 1",
            self.validation_share,
        )
        _require(0 < self.test_share < 1, "data.test-share", "between 0 and 1", self.test_share)
        _require(
            self.folds is None or self.folds == 0 or self.folds >= 2,
            "data.folds",
            "0, or 2 or more",
            self.folds,
        )
        _require(
            self.split_seed is None or self.split_seed >= 0,
            "data.split-seed",
            "0 or more",
            self.split_seed,
        )
        _require(self.resident_mb >= 0, "data.resident-mb", "0 or more", self.resident_mb)


@dataclass(frozen=True, kw_only=True)
class MLPSettings(Settings):
    """The fully connected networks of the paper's MNIST experiments: any image, read as one vector."""

    kind: Literal["mlp"] = "mlp"
    """Which networks these are."""

    hidden: tuple[int, ...] = (1000, 500, 250, 250, 250)
    """Widths of the discriminator's hidden layers; the last one holds the features."""

    input_noise: float = 0.3
    """Standard deviation of the Gaussian noise on the discriminator's input; pixels lie in [0, 1]."""

    hidden_noise: float = 0.5
    """Standard deviation of the Gaussian noise after each hidden layer of the discriminator."""

    generator_hidden: tuple[int, ...] = (500, 500)
    """Widths of the generator's hidden layers."""

    latent_size: int = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    minibatch_kernels: int = 0
    """Kernels of minibatch discrimination after the features; 0: none."""

    minibatch_kernel_size: int = 5
    """Dimension of each of these kernels."""

    def __post_init__(self) -> None:
        _require(
            len(self.hidden) > 0 and min(self.hidden) > 0,
            "networks.hidden",
            "positive widths",
            self.hidden,
        )
        _require(
            len(self.generator_hidden) > 0 and min(self.generator_hidden) > 0,
            "networks.generator-hidden",
            "positive widths",
            self.generator_hidden,
        )
        _require(self.latent_size > 0, "networks.latent-size", "1 or more", self.latent_size)
        _require(self.input_noise >= 0, "networks.input-noise", "0 or more", self.input_noise)
        _require(self.hidden_noise >= 0, "networks.hidden-noise", "0 or more", self.hidden_noise)
        _require_kernels(self.minibatch_kernels, self.minibatch_kernel_size)


@dataclass(frozen=True, kw_only=True)
class ConvSettings(Settings):
    """The convolutional networks of the paper's CIFAR-10 and SVHN experiments, for 9 px and more."""

    kind: Literal["conv"] = "conv"
    """Which networks these are."""

    width: int = 96
    """Channels of the discriminator's first three layers; the others have twice as many, and so many
    are the features."""

    input_dropout: float = 0.2
    """Share of the discriminator's input that is dropped."""

    input_noise: float = 0.0
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    hidden_dropout: float = 0.5
    """Share dropped before each of the discriminator's later two blocks."""

    generator_width: int = 512
    """Channels of the generator's first maps, halved with each doubling of their size."""

    latent_size: int = 100
    """Numbers, uniform in [0, 1), that the generator makes an image from."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    minibatch_kernels: int = 0
    """Kernels of minibatch discrimination after the features; 0: none."""

    minibatch_kernel_size: int = 5
    """Dimension of each of these kernels."""

    def __post_init__(self) -> None:
        _require(self.width > 0, "networks.width", "1 or more", self.width)
        _require(
            self.generator_width > 0, "networks.generator-width", "1 or more", self.generator_width
        )
        _require(self.latent_size > 0, "networks.latent-size", "1 or more", self.latent_size)
        _require(
            0 <= self.input_dropout < 1,
            "networks.input-dropout",
            "0 or more, below 1",
            self.input_dropout,
        )
        _require(
            0 <= self.hidden_dropout < 1,
            "networks.hidden-dropout",
            "0 or more, below 1",
            self.hidden_dropout,
        )
        _require(self.input_noise >= 0, "networks.input-noise", "0 or more", self.input_noise)
        _require_kernels(self.minibatch_kernels, self.minibatch_kernel_size)


@dataclass(frozen=True, kw_only=True)
class ImageNetSettings(Settings):
    """The networks of the paper's ImageNet experiment (128 px), for sides that are multiples of 32 px."""

    kind: Literal["imagenet"] = "imagenet"
    """Which networks these are."""

    width: int = 64
    """Channels of the discriminator's first layer; the later ones have 2, 4 and 8 times as many."""

    dense_multiple: int = 40
    """Units of the discriminator's dense layer, the features, as a multiple of `width`."""

    input_noise: float = 0.1
    """Standard deviation of Gaussian noise on the discriminator's input; pixels lie in [-1, 1]."""

    generator_width: int = 512
    """Channels of the generator's first maps; the next ones have a 2nd, a 4th, and from then on an 8th."""

    latent_size: int = 8192
    """Numbers, uniform in [-1, 1), that the generator's first maps are made from."""

    noise_maps: tuple[int, ...] = (64, 64, 32, 16, 8, 8)
    """Maps of noise, uniform in [-1, 1), beside the generator's maps at each of its six sizes, the smallest
    first."""

    reference_size: int = 64
    """Samples in the reference batch of virtual batch normalization (Section 3.5): the authors' batch on one
    device."""

    data_dependent_initialization: bool = True
    """Set gains and biases so that each layer starts with mean 0 and its standard deviation on data."""

    minibatch_kernels: int = 300
    """Kernels of minibatch discrimination after the features, each compared with the real half and with
    the generated half; 0: none."""

    minibatch_kernel_size: int = 50
    """Dimension of each of these kernels."""

    def __post_init__(self) -> None:
        for name in (
            "width",
            "dense_multiple",
            "generator_width",
            "latent_size",
        ):
            size = getattr(self, name)
            _require(size > 0, f"networks.{name.replace('_', '-')}", "1 or more", size)
        _require(self.input_noise >= 0, "networks.input-noise", "0 or more", self.input_noise)
        _require(
            len(self.noise_maps) == 6 and min(self.noise_maps) >= 0,
            "networks.noise-maps",
            "six numbers, 0 or more",
            self.noise_maps,
        )
        _require(
            self.reference_size >= 2, "networks.reference-size", "2 or more", self.reference_size
        )
        _require_kernels(self.minibatch_kernels, self.minibatch_kernel_size)


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(Settings):
    """What the two players minimize."""

    discriminator: Literal["semi-supervised", "binary"] = "semi-supervised"
    """`semi-supervised`: the classes and "generated" at once (Section 5). `binary`: real or generated
    only, for images without labels."""

    unsupervised_weight: float = 0.5
    """Weight of the real-or-generated part beside the classes. Eq. 5 has 1, the authors' code 0.5."""

    positive_target: float = 1.0
    """What the discriminator is to say of real images: below 1 is one-sided label smoothing
    (Section 3.4)."""

    generator: Literal["feature-matching", "minimax", "non-saturating", "target"] = (
        "feature-matching"
    )
    """`feature-matching` (Section 3.1); `minimax`: log(1 - D), the authors' choice with minibatch
    discrimination; `non-saturating`: -log D; `target`: the cross-entropy between `generator_target` and
    D, the authors' choice for ImageNet."""

    generator_target: float = 0.375
    """What `target` makes the discriminator say of generated images. Half of `positive_target` is where a
    smoothed discriminator ends that cannot tell them from real ones (Section 3.4)."""

    feature_distance: Literal["squared", "absolute"] = "squared"
    """Distance between the batch means of the features, averaged over the features as the authors do."""

    generator_steps: int = 1
    """Generator steps to each step of the discriminator."""

    historical_averaging: float = 0.0
    """Weight of historical averaging in both players' costs (Section 3.3)."""

    def __post_init__(self) -> None:
        _require(
            self.unsupervised_weight > 0,
            "objective.unsupervised-weight",
            "above 0",
            self.unsupervised_weight,
        )
        _require(
            0.5 <= self.positive_target <= 1,
            "objective.positive-target",
            "between 0.5 and 1",
            self.positive_target,
        )
        _require(
            0 < self.generator_target <= 1,
            "objective.generator-target",
            "above 0, at most 1",
            self.generator_target,
        )
        _require(
            self.generator_steps >= 1,
            "objective.generator-steps",
            "1 or more",
            self.generator_steps,
        )
        _require(
            self.historical_averaging >= 0,
            "objective.historical-averaging",
            "0 or more",
            self.historical_averaging,
        )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings):
    """Adam for both players, and the averaged weights that are tested."""

    learning_rate: float = 3e-3
    """Step size of both players."""

    decay_from: float = 1.0
    """Share of the run after which the learning rate falls linearly to 0 at its end; 1: never."""

    beta1: float = 0.5
    """Decay of the gradient's running mean."""

    beta2: float = 0.999
    """Decay of the squared gradient's running mean."""

    epsilon: float = 1e-4
    """Added to the root of the squared gradient's mean. The authors add 1e-8 inside the root, which
    this equals where the gradient vanishes; PyTorch's usual 1e-8 makes feature matching explode."""

    averaging_rate: float = 1e-4
    """Smallest weight of a step in the running average of the discriminator's weights: the authors'."""

    averaging_horizon: float = 0.1
    """Share of the steps so far that the average looks back over, until its rate falls to
    `averaging_rate`: the authors start from zero weights instead, and lag behind for 10,000 steps."""

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "optimizer.learning-rate", "above 0", self.learning_rate)
        _require(
            0 <= self.decay_from <= 1, "optimizer.decay-from", "between 0 and 1", self.decay_from
        )
        _require(0 <= self.beta1 < 1, "optimizer.beta1", "0 or more, below 1", self.beta1)
        _require(0 <= self.beta2 < 1, "optimizer.beta2", "0 or more, below 1", self.beta2)
        _require(self.epsilon > 0, "optimizer.epsilon", "above 0", self.epsilon)
        _require(
            0 < self.averaging_rate <= 1,
            "optimizer.averaging-rate",
            "above 0, at most 1",
            self.averaging_rate,
        )
        _require(
            0 < self.averaging_horizon <= 1,
            "optimizer.averaging-horizon",
            "above 0, at most 1",
            self.averaging_horizon,
        )


@dataclass(frozen=True, kw_only=True)
class HardwareSettings(Settings):
    """Where the run computes, as Lightning Fabric names it."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`: a GPU if there is one."""

    devices: int = 1
    """Processes, each with its own device and its share of every batch. Under torchrun, its own count."""

    threads: int | None = None
    """Threads of the CPU. Unset: one per core. Small networks are as fast with one, and with more of
    them much slower where other programs run; the last digits of a result depend on their number."""

    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Of the matrix products in the steps of discriminator and baseline; losses and the generator's step are
    always in 32 bits: in fewer it diverges. `auto`: bf16 where the device has units for it (AMX in a CPU,
    tensor cores in a GPU), else 32 bits."""

    noise: Literal["auto", "fresh"] = "auto"
    """Gaussian noise of the networks. `auto`: on a CPU, unless compiled, cut out of a bank of numbers at
    random places, which costs next to nothing. `fresh`: every number is drawn for its one use."""

    compile: bool = False
    """Compile both networks with torch.compile, on a GPU as CUDA graphs. It takes up to minutes at the start.
    On a CPU it needs a C++ compiler and a step of `mnist` takes longer: docs/performance.md."""

    def __post_init__(self) -> None:
        _require(self.devices >= 1, "hardware.devices", "1 or more", self.devices)
        _require(
            self.threads is None or self.threads >= 1, "hardware.threads", "1 or more", self.threads
        )


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """Everything that decides a run's result."""

    name: str
    """Name of the recipe that these settings started from."""

    labels: int | None = None
    """Labelled images to use, the same number of each class. Unset: all that carry a label."""

    seed: int = 0
    """Seed of everything that is drawn at random."""

    epochs: int = 100
    """Passes over the unlabelled images."""

    min_steps_per_epoch: int = 1
    """Steps of an epoch at least: small data is passed over more than once in each."""

    batch_size: int = 100
    """Images of each kind (labelled, unlabelled, generated) in a step, over all devices together."""

    baseline: bool = True
    """Also train the same discriminator on the labelled images alone, to see whether the GAN helped."""

    data: DataSettings = field(default_factory=DataSettings)
    """Which images."""

    networks: MLPSettings | ConvSettings | ImageNetSettings = field(default_factory=ConvSettings)
    """The two players."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What they minimize."""

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """How they are trained."""

    hardware: HardwareSettings = field(default_factory=HardwareSettings)
    """Where."""

    def __post_init__(self) -> None:
        _require(self.labels is None or self.labels >= 1, "labels", "1 or more", self.labels)
        _require(self.seed >= 0, "seed", "0 or more", self.seed)
        _require(self.epochs >= 1, "epochs", "1 or more", self.epochs)
        _require(
            self.min_steps_per_epoch >= 1,
            "min-steps-per-epoch",
            "1 or more",
            self.min_steps_per_epoch,
        )
        _require(self.batch_size >= 2, "batch-size", "2 or more", self.batch_size)
