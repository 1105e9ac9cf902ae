"""The settings of a run, which decide its result. The string below each field documents it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, Len

from convergan.errors import UserError
from convergan.ranges import Former, Seed
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.base import Settings
from convergan.recipes.networks import ConvSettings, FrozenSettings, NetworkSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.plan import Minutes, PlanSettings, Steps

ArmName = Literal["composed", "consistency", "gan", "frozen"]
"""Name of an arm that a recipe can add."""

FORMER_PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}
"""Lightning's names of precisions, in former recipes and in manifests, with the present names."""


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings, group="data"):
    """The images, and how the labelled ones are divided."""

    source: Annotated[str, Len(1, 200)] = "folder"
    """Source of the images: `digits` (included in scikit-learn), `folder` (your own images), or the id of a
    Hugging Face data set (OWNER/NAME, or OWNER/NAME/CONFIGURATION). `mnist`, `cifar10`, `svhn` and `imagenet`
    are short for the usual ids."""

    path: Path | None = None
    """Folder with the data: parquet files named train-*.parquet and test-*.parquet; or
    <class>/*.png with optional unlabelled/ and test/<class>/; or images and a metadata.csv with the columns
    file_name,label. `folder` requires it. Unset: the source is downloaded (`digits` needs no download)."""

    size_px: Annotated[int, Interval(ge=8, le=4096)] | None = None
    """Height and width that every image is resized to: the shorter side is scaled to it, the longer one is
    cropped at the centre. Unset: all images must already have the same size."""

    channels: Literal[1, 3] | None = None
    """Channels of the images: 1 for grey, 3 for colour. Unset: grey if every image is grey."""

    flip: bool = False
    """Allow mirrored views with `augmentation.kind` photographs. Switch this off where left and right matter:
    writing, arrows, sides of a body."""

    skip_unreadable: bool = False
    """Leave out images that cannot be read; they are counted, and listed in manifest.json."""

    validation_share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Fraction of the labelled images held out for validation, to choose the best epoch. 0: the last epoch is
    the result."""

    test_share: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    """Fraction of the labels held out as the test set if the data has none, and to choose among several
    arms."""

    folds: Literal[0] | Annotated[int, Interval(ge=2, le=1000)] | None = None
    """Number of cross-validation folds for estimating the errors if the data has no test set; the result is
    then trained on all labels. 0: hold out `test_share` instead. The choice among several arms uses the same
    folds or held-out labels, even with a test set. Unset: 4 below 200 labels, else 0; 0 with `minutes` or
    `arms`."""

    split_seed: Seed | None = None
    """Seed that decides which images are labelled, which are held out, and the folds. Unset: the run's seed.
    Members of an ensemble share it and differ in their seed."""

    resident_mb: Annotated[int, Interval(ge=0, le=10**9)] = 4096
    """Largest size, in megabytes, of decoded images that are kept in (device) memory. Larger data is read
    from disk as needed."""

    cache: Path | None = None
    """Folder for the decoded images. Unset: $CONVERGAN_CACHE, else ~/.cache/convergan."""

    @property
    def resident_bytes(self) -> int:
        """`resident_mb` in bytes."""
        return self.resident_mb * 10**6


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings, group="optimizer"):
    """Adam for both players, and the exponential moving averages (EMA) of their weights."""

    learning_rate: Annotated[float, Interval(gt=0, le=100)] = 3e-3
    """Learning rate of both players."""

    generator_rate: Annotated[float, Interval(gt=0, le=100)] = 1.0
    """Learning rate of the generator as a multiple of `learning_rate`."""

    warmup: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Fraction of the run over which the learning rate rises linearly from 0."""

    decay_from: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """Fraction of the run after which the learning rate begins to fall; it reaches 0 at the end. 1: it never
    falls."""

    decay: Literal["linear", "cosine"] = "linear"
    """Shape of the fall of the learning rate."""

    decay_by: Literal["steps", "epochs"] = "steps"
    """Interval at which the learning rate falls: every step or, as in the authors' code, every epoch."""

    weight_decay: Annotated[float, Interval(ge=0, le=100)] = 0.0
    """Decoupled weight decay (AdamW): each step shrinks a weight by this times the learning rate."""

    beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Decay rate of the running mean of gradients."""

    beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    """Decay rate of the running mean of squared gradients."""

    epsilon: Annotated[float, Interval(ge=1e-30, le=100)] = 1e-4
    """Adam's epsilon; `epsilon_place` says where it is added. The authors add 1e-8 inside the root, which for
    vanishing gradients equals 1e-4 outside it. PyTorch's default, 1e-8 outside the root, makes feature
    matching diverge in the paper's networks."""

    epsilon_place: Literal["outside", "inside", "uncorrected"] = "outside"
    """Place at which Adam adds epsilon; v is the mean of the squared gradients divided by its bias correction
    c. `outside`: sqrt(v) + epsilon, as in PyTorch. `inside`: sqrt(v + epsilon), as in the authors' code.
    `uncorrected`: sqrt(v) + epsilon / sqrt(c), as in TensorFlow, for ImageNet."""

    averaging_rate: Annotated[float, Interval(gt=0, le=1)] = 1e-4
    """Final update rate of the EMA of the discriminator's weights: 1 - decay. The authors use 0.0001."""

    averaging_horizon: Annotated[float, Interval(gt=0, le=1)] = 0.1
    """Fraction of the past steps that the EMA averages over, until its update rate has fallen to
    `averaging_rate`."""

    averaging_start: Literal["weights", "zero"] = "weights"
    """Initial value of the EMA. `weights`: the initial weights; the EMA averages over `averaging_horizon`.
    `zero`: zeros, as in the authors' code; before each step the EMA moves by `averaging_rate` towards the
    weights, and it lags behind for 10,000 steps."""

    generator_averaging_rate: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Final update rate of an EMA of the generator's weights, from which samples are then drawn; it averages
    over `averaging_horizon`. 1: no EMA; samples are drawn from the weights themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            self.warmup <= self.decay_from, "warmup", f"at most decay-from, {self.decay_from:g}"
        )


@dataclass(frozen=True, kw_only=True)
class HardwareSettings(Settings, group="hardware"):
    """Devices, processes and arithmetic."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """Kind of device. `auto`: a GPU if there is one; `gpu`: a GPU from NVIDIA or Apple; `cuda`: NVIDIA;
    `mps`: Apple."""

    devices: Annotated[int, Interval(ge=1, le=256)] = 1
    """Number of processes on this machine; each has its own device and an equal share of every batch. Under
    torchrun, torchrun decides."""

    threads: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Number of CPU threads. Unset: one per core. Small networks are just as fast with one, and more are much
    slower if other programs run. The last digits of a result depend on this number."""

    precision: Annotated[Literal["auto", "fp32", "bf16"], Former(FORMER_PRECISIONS)] = "auto"
    """Precision of matrix products in the steps of discriminator and baseline. Losses and the generator's
    step always use fp32, because the generator diverges with fewer bits. `auto`: bf16 if the device has
    hardware for it (a CPU with AMX, or AVX512-BF16 for residual networks; a GPU with tensor cores), else
    fp32."""

    noise: Literal["auto", "fresh"] = "auto"
    """Source of the networks' Gaussian noise. `auto`: on a CPU, unless compiled, random slices of a bank of
    numbers, at almost no cost; else as `fresh`. `fresh`: every number is newly drawn."""

    members: Literal["auto", "together", "apart"] = "auto"
    """Mode of training the members of an ensemble. `apart`: one after the other. `together`: step by step in
    one computation; this needs perceptrons with a generator (digits, mnist). `auto`: together where that was
    measured to be faster: on a CPU, for networks as small as those of digits. The last digits of a result
    depend on this."""

    compile: bool = False
    """Compile both networks with torch.compile, on a GPU with CUDA graphs. Compiling takes up to minutes. On
    a CPU it needs a C++ compiler, and makes a step of `mnist` slower."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """Settings that decide the result of a run."""

    name: Annotated[str, Len(1, 200)]
    """Name of the recipe that these settings started from."""

    labels: Annotated[int, Interval(ge=1, le=10**9)] | None = None
    """Number of labelled images to use, equally many from each class. Unset: all."""

    seed: Seed = 0
    """Seed of all random numbers."""

    members: Annotated[int, Interval(ge=1, le=1000)] = 1
    """Number of models in an ensemble. They are trained on the same labels with the seeds `seed`, `seed` + 1
    and so on, and their class probabilities are averaged. 1: a single model."""

    epochs: Annotated[int, Interval(ge=1, le=10**6)] = 100
    """Passes over the unlabelled images or, with `steps`, equal parts of the steps. The classifier is tested
    after each of them."""

    minutes: Minutes | None = None
    """Minutes for all trainings and tests of all arms, not counting the first reading of the images. A few
    steps are timed, and the resulting plan is kept as numbers of steps in recipe.yaml. `epochs` is then the
    largest number of parts of a training. Unset: the number of steps decides how long the run takes."""

    arms: Annotated[tuple[ArmName, ...], Len(0, 4)] = ()
    """Further models to train and compare with the recipe's own, each with as much time. They share the
    minutes, so allow more. `composed`: with the terms of the paper's GAN and with consistency; `consistency`:
    without the GAN's terms; `gan`: without consistency and conditional entropy; `frozen`: a linear layer on a
    pretrained network. Held-out labels choose the model that is saved."""

    steps: Steps | None = None
    """Total number of training steps. Unset: as many as the epochs take."""

    min_steps_per_epoch: Annotated[int, Interval(ge=1, le=10**6)] = 1
    """Minimum number of steps in an epoch; small data is repeated within an epoch."""

    drop_remainder: bool = False
    """Drop the last images of each epoch if they do not fill a batch, as the authors do. Off: a last batch
    takes them, together with the first images of the next order."""

    batch_size: Annotated[int, Interval(ge=2, le=65_536)] = 100
    """Number of images of each kind (labelled, unlabelled, generated) in a step, over all devices."""

    unlabelled_batch_size: Annotated[int, Interval(ge=2, le=65_536)] | None = None
    """Number of unlabelled images in a step. Unset: `batch_size`."""

    generated_batch_size: Annotated[int, Interval(ge=2, le=65_536)] | None = None
    """Number of generated images in a step. Unset: `batch_size`."""

    baseline: bool = True
    """Train the same discriminator also on the labelled images alone, to see whether the unlabelled images
    helped: step by step with the recipe's model or, with `minutes` or `arms`, as a separate arm."""

    baseline_steps: Steps = 2000
    """Maximum number of steps of the arm `baseline`, which more steps would not improve. The other arms use
    the time that it leaves."""

    data: DataSettings = field(default_factory=DataSettings)
    """The images."""

    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    """Augmentation: random views of the training images, for all players."""

    networks: NetworkSettings = field(default_factory=ConvSettings)
    """The two players."""

    frozen: FrozenSettings = field(default_factory=FrozenSettings)
    """The network of the arm `frozen`."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """Losses of the two players: weighted sums of the terms below. A generator is trained if a term uses
    generated images. It needs at least one of feature matching, minimax, non-saturating and target.
    Former names, such as `objective.discriminator`, are still accepted."""

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """The optimizer."""

    hardware: HardwareSettings = field(default_factory=HardwareSettings)
    """Devices, processes and arithmetic."""

    plan: PlanSettings = field(default_factory=PlanSettings)
    """The plan that results from `minutes` and `arms`, written when a run begins."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # The name is part of the run's folder and of its report.
        self._require(
            self.name.isprintable() and not set(self.name) & set("/\\"),
            "name",
            "printable characters without slashes",
        )
        self._require(len(set(self.arms)) == len(self.arms), "arms", "each arm once")
        self._require(
            self.seed + self.members <= 2**63,
            "seed",
            "one that leaves room for the seeds of all members",
        )
        if self.members > 1 and (self.minutes is not None or self.arms):
            raise UserError(
                "members: expected 1 with minutes or arms, which compare models and save one, got"
                f" {self.members}; --minutes None trains members of the recipe's own model only"
            )
        # Their order has no effect.
        object.__setattr__(self, "arms", tuple(sorted(self.arms)))
        if self.steps is not None:
            self._require(
                self.steps >= self.epochs or self.plan.epochs is not None,
                "steps",
                f"at least as many as epochs ({self.epochs:,})",
            )
        if self.minutes is not None and self.plan.minutes is None:
            self._require(
                self.steps is None,
                "steps",
                "none with minutes, which plan them (minutes None plans nothing)",
            )
        if self.objective.is_simultaneous and self.hardware.compile:
            # torch's compiler frees memory that a second gradient of one forward pass needs.
            raise UserError(
                "hardware.compile: expected off where objective.update is simultaneous, got on"
            )
        if self.objective.is_simultaneous and self.hardware.precision == "bf16":
            raise UserError(
                "hardware.precision: expected auto or fp32 where objective.update is simultaneous, got bf16"
            )
