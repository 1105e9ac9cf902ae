"""The settings of a run: everything that decides its result, each field documented beneath it."""

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
"""Name of an arm that a recipe can ask for."""

FORMER_PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}
"""Lightning's words, which recipes had and manifests have, and ours."""


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings, group="data"):
    """Which images, and how the labelled ones among them are divided."""

    source: Annotated[str, Len(1, 200)] = "folder"
    """`digits` (inside scikit-learn), `folder` (your own images), or the id of a Hugging Face data set
    (OWNER/NAME, or OWNER/NAME/CONFIGURATION); `mnist`, `cifar10`, `svhn` and `imagenet` are short for the
    usual ids."""

    path: Path | None = None
    """Folder with the data: parquet files named train-*.parquet and test-*.parquet; or
    <class>/*.png with optional unlabelled/ and test/<class>/; or images and a metadata.csv of
    file_name,label. Without it the source is downloaded (or, for digits, is already there)."""

    size_px: Annotated[int, Interval(ge=8, le=4096)] | None = None
    """Resize every image to this height and width: the shorter side is scaled to it, the longer one
    cropped at the centre. Unset: all images must already have one size."""

    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour. Unset: grey if every image is grey."""

    flip: bool = False
    """The mirror image of a photograph has the same class: views of `augmentation.kind` photographs may be
    mirrored. Off where left and right matter: writing, arrows, sides of a body."""

    skip_unreadable: bool = False
    """Go on without images that cannot be read; they are counted, and listed in manifest.json."""

    validation_share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the labelled images held out, never trained on, to choose the best epoch by. 0: the last
    epoch is the result."""

    test_share: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    """Share of the labels held out as the test set where the data has none, and to choose among several
    arms."""

    folds: Literal[0] | Annotated[int, Interval(ge=2, le=1000)] | None = None
    """Where the data has no test set: estimate the errors by this many-fold cross-validation of the
    labels and train the result on all of them; 0 holds out `test_share` instead. Several arms are chosen
    among by the same folds or share, also where there is a test set. Unset: 4 below 200 labels, else 0; 0
    with `minutes` or `arms`."""

    split_seed: Seed | None = None
    """Decides which images are labelled, held out and in which fold. Unset: the run's seed. Members of
    an ensemble share it and differ in their seed."""

    resident_mb: Annotated[int, Interval(ge=0, le=10**9)] = 4096
    """Decoded images up to this many megabytes are held in (device) memory; above, they are read
    from the disk as they are needed."""

    cache: Path | None = None
    """Folder of the decoded images. Unset: $CONVERGAN_CACHE, else ~/.cache/convergan."""

    @property
    def resident_bytes(self) -> int:
        """`resident_mb` in bytes."""
        return self.resident_mb * 10**6


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings, group="optimizer"):
    """Adam for both players, and the averaged weights that are tested."""

    learning_rate: Annotated[float, Interval(gt=0, le=100)] = 3e-3
    """Step size of both players."""

    generator_rate: Annotated[float, Interval(gt=0, le=100)] = 1.0
    """Learning rate of the generator as a multiple of `learning_rate`."""

    warmup: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Share of the run over which the learning rate rises linearly from 0."""

    decay_from: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """Share of the run after which the learning rate falls to 0 at its end; 1: never."""

    decay: Literal["linear", "cosine"] = "linear"
    """Shape of that fall."""

    decay_by: Literal["steps", "epochs"] = "steps"
    """What the learning rate is a function of: the steps that are done, or as in the authors' code the
    epochs, within which it is constant."""

    weight_decay: Annotated[float, Interval(ge=0, le=100)] = 0.0
    """Share of a weight that a step takes away, as a multiple of the learning rate (AdamW)."""

    beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Decay of the gradient's running mean."""

    beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    """Decay of the squared gradient's running mean."""

    epsilon: Annotated[float, Interval(ge=1e-30, le=100)] = 1e-4
    """Added to the root of the squared gradient's mean, or elsewhere: see `epsilon_place`. The authors add
    1e-8 inside the root, which this equals where the gradient vanishes; PyTorch's usual 1e-8 outside makes
    feature matching explode in the paper's networks."""

    epsilon_place: Literal["outside", "inside", "uncorrected"] = "outside"
    """Where Adam adds epsilon, v being the mean of the squared gradients divided by its bias correction c:
    `outside` the root, sqrt(v) + epsilon, as PyTorch does; `inside`, sqrt(v + epsilon), as the authors do;
    `uncorrected`, sqrt(v) + epsilon / sqrt(c), as TensorFlow does, on ImageNet."""

    averaging_rate: Annotated[float, Interval(gt=0, le=1)] = 1e-4
    """Smallest weight of a step in the running average of the discriminator's weights; the authors have
    0.0001."""

    averaging_horizon: Annotated[float, Interval(gt=0, le=1)] = 0.1
    """Share of the steps so far that the average looks back over, until its rate falls to
    `averaging_rate`."""

    averaging_start: Literal["weights", "zero"] = "weights"
    """What the average starts from. `weights`: the first ones, and it looks back over `averaging_horizon`.
    `zero`: zeros, as the authors' does, which moves by `averaging_rate` towards the weights before each step,
    and lags behind for 10,000 of them."""

    generator_averaging_rate: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Smallest weight of a step in a running average of the generator's weights, which samples are then drawn
    from; it looks back over `averaging_horizon`. 1: there is none, samples are drawn from the weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            self.warmup <= self.decay_from, "warmup", f"at most decay-from, {self.decay_from:g}"
        )


@dataclass(frozen=True, kw_only=True)
class HardwareSettings(Settings, group="hardware"):
    """Where the run computes."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """`auto`: a GPU if there is one; `gpu`: NVIDIA's or Apple's, `cuda` and `mps` by their own names."""

    devices: Annotated[int, Interval(ge=1, le=256)] = 1
    """Processes on this machine, each with its own device and its share of every batch. Under torchrun its
    count is taken."""

    threads: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Threads of the CPU. Unset: one per core. Small networks are as fast with one, and with more of
    them much slower where other programs run; the last digits of a result depend on their number."""

    precision: Annotated[Literal["auto", "fp32", "bf16"], Former(FORMER_PRECISIONS)] = "auto"
    """Of the matrix products in the steps of discriminator and baseline; losses and the generator's step are
    always in fp32: in fewer bits it diverges. `auto`: bf16 where the device has units for it (AMX in a CPU,
    for residual networks AVX512-BF16 too; tensor cores in a GPU), else fp32."""

    noise: Literal["auto", "fresh"] = "auto"
    """Gaussian noise of the networks. `auto`: on a CPU, unless compiled, cut out of a bank of numbers at
    random places, which costs next to nothing. `fresh`: every number is drawn for its one use."""

    members: Literal["auto", "together", "apart"] = "auto"
    """Members of an ensemble are trained `apart`, one after the other, or `together`, step by step in one
    computation, which takes perceptrons with a generator (digits, mnist). `auto`: together where it was
    measured to be quicker, for networks as small as those of digits on a CPU. Last digits depend on it."""

    compile: bool = False
    """Compile both networks with torch.compile, on a GPU as CUDA graphs. It takes up to minutes at the start.
    On a CPU it needs a C++ compiler and a step of `mnist` takes longer: docs/performance.md."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """Everything that decides a run's result."""

    name: Annotated[str, Len(1, 200)]
    """Name of the recipe that these settings started from."""

    labels: Annotated[int, Interval(ge=1, le=10**9)] | None = None
    """Labelled images to use, the same number of each class. Unset: all that carry a label."""

    seed: Seed = 0
    """Seed of everything that is drawn at random."""

    members: Annotated[int, Interval(ge=1, le=1000)] = 1
    """Models of an ensemble, whose class probabilities are averaged: as many trainings on one draw of labels,
    with the seeds `seed`, `seed` + 1 and so on. 1: a single model."""

    epochs: Annotated[int, Interval(ge=1, le=10**6)] = 100
    """Passes over the unlabelled images; or with `steps`, equal parts of the steps. After each the classifier
    is tested."""

    minutes: Minutes | None = None
    """Minutes for all trainings and tests of all arms, once the images have been read, planned from a few
    steps that are timed and resolved into steps in recipe.yaml. `epochs` are then the most parts that a
    training has. Unset: the steps decide how long it takes."""

    arms: Annotated[tuple[ArmName, ...], Len(0, 4)] = ()
    """Models trained beside the recipe's own, with as much time each, to see what is worth it; all of them
    share the minutes, so ask for more. `composed`, with the terms of the paper's GAN beside consistency;
    `consistency`, without them; `gan`, without consistency and conditional entropy; `frozen`, a linear head
    on a pretrained network. Labels that are held out choose the one that is saved."""

    steps: Steps | None = None
    """Steps of the training in all. Unset: as many as the passes over the data take."""

    min_steps_per_epoch: Annotated[int, Interval(ge=1, le=10**6)] = 1
    """Steps of an epoch at least: small data is passed over more than once in each."""

    drop_remainder: bool = False
    """Leave out, in each epoch, the images at the end of its order that do not fill a step, as the authors
    do. Else a last step takes them, and some of the next order."""

    batch_size: Annotated[int, Interval(ge=2, le=65_536)] = 100
    """Images of each kind (labelled, unlabelled, generated) in a step, over all devices together."""

    unlabelled_batch_size: Annotated[int, Interval(ge=2, le=65_536)] | None = None
    """Unlabelled images in a step. Unset: `batch_size`."""

    generated_batch_size: Annotated[int, Interval(ge=2, le=65_536)] | None = None
    """Generated images in a step. Unset: `batch_size`."""

    baseline: bool = True
    """Also train the same discriminator on the labelled images alone, to see whether the GAN helped: step by
    step beside the GAN; with `minutes` or `arms` as an arm of its own."""

    baseline_steps: Steps = 2000
    """Steps of the arm `baseline` at most, as it learns nothing from more; the time that it leaves is the
    other arms'."""

    data: DataSettings = field(default_factory=DataSettings)
    """Which images."""

    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    """The views of the training images that all players see."""

    networks: NetworkSettings = field(default_factory=ConvSettings)
    """The two players."""

    frozen: FrozenSettings = field(default_factory=FrozenSettings)
    """The network of the arm `frozen`."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """Losses of the two players: sums of the terms below, each times its weight. Where a term looks at
    generated images a generator is trained, which needs at least one of feature matching, minimax,
    non-saturating and target. docs/run-folder.md has the former names."""

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """How they are trained."""

    hardware: HardwareSettings = field(default_factory=HardwareSettings)
    """Where."""

    plan: PlanSettings = field(default_factory=PlanSettings)
    """What `minutes` and `arms` came to, written when a run begins."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # A part of the run's folder and of its report.
        self._require(
            self.name.isprintable() and not set(self.name) & set("/\\"),
            "name",
            "printable characters without slashes",
        )
        self._require(len(set(self.arms)) == len(self.arms), "arms", "each arm once")
        self._require(
            self.seed + self.members <= 2**63, "seed", "one that leaves room for as many as members"
        )
        if self.members > 1 and (self.minutes is not None or self.arms):
            raise UserError(
                "members: expected 1 beside minutes or arms, which compare models and save one, got"
                f" {self.members}; --minutes None trains members of the recipe's own model alone"
            )
        # Their order changes nothing.
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
                "none beside minutes, which plan them (minutes None plans nothing)",
            )
        if self.objective.is_simultaneous and self.hardware.compile:
            # torch's compiler frees what a second gradient of one forward pass needs.
            raise UserError(
                "hardware.compile: expected off where objective.update is simultaneous, got on"
            )
        if self.objective.is_simultaneous and self.hardware.precision == "bf16":
            raise UserError(
                "hardware.precision: expected auto or fp32 where objective.update is simultaneous, got bf16"
            )
