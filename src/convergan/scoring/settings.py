"""Settings of `convergan score`, without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.ranges import Checked, Seed

_Value = Annotated[float, Interval(ge=-1e9, le=1e9)]

MetricName = Literal["is", "fid", "kid", "pr"]

DEFAULT_COUNT = 50_000
"""Default number of images drawn from a run."""


@dataclass(frozen=True, kw_only=True)
class ScoreFiles(Checked):
    """Files to compare the scored images with, and files to write."""

    reference: Path | None = None
    """Real images or their saved features, for fid, kid and pr; or a .npz with the mean and covariance of
    their features, for fid."""

    versus: Path | None = None
    """The same number of other images, or the .json file from --json of an earlier call, to test whether the
    scores differ by more than chance."""

    training: Path | None = None
    """Images that the generator was trained on, to test whether it copies them."""

    classifier: Path | None = None
    """Folder of a run whose classifier computes the scores. Unset: the Inception network of 2015."""

    weights: Path | None = None
    """File with the weights of the Inception network. Unset: from the cache, or downloaded into it."""

    json: Path | None = None
    """JSON file to write all numbers to, with everything that they depend on. `-`: the standard output."""

    figures: Path | None = None
    """Folder to write figures to."""

    save_statistics: Path | None = None
    """Write the mean and covariance of the images' features to this .npz, for use as --reference."""

    save_features: Path | None = None
    """Write the images' features and logits to this .npz, which later calls accept instead of the images."""

    overwrite: bool = False
    """Replace existing files."""


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(Checked):
    """Settings of the metrics, and of how images are read and drawn."""

    metrics: tuple[MetricName, ...] = ()
    """Metrics to compute. is: Inception score; fid; kid; pr: precision, recall, density, coverage. Unset: all
    that the reference allows."""

    protocol: Literal["paper", "shuffled"] = "paper"
    """Order of the images for the splits of the Inception score. `paper`: as given; `shuffled`: random."""

    splits: Annotated[int, Interval(ge=1, le=10**6)] = 10
    """Number of splits for the Inception score."""

    split_seed: Seed = 2020
    """Seed of the order `shuffled`; the default is that of torch-fidelity."""

    kid_subsets: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Number of random subsets that KID is averaged over; 0: all pairs of all images."""

    kid_subset_size: Annotated[int, Interval(ge=2, le=10**6)] = 1000
    """Number of images in each subset for KID."""

    intervals: bool = True
    """Compute confidence intervals."""

    seed: Seed = 0
    """Seed of the random groups behind some intervals, and of the images drawn from a run."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the network: fp32, or bf16, which is faster on GPUs and changes the numbers slightly."""

    pixel_range: tuple[_Value, _Value] | None = None
    """Values of black and white in arrays of floats, such as 0 1."""

    split: Literal["train", "test"] | None = None
    """Split to use from parquet files that name their splits."""

    key: str | None = None
    """Name of the array with the images in a .npz with several arrays. Unset: the only one, or arr_0."""

    features: bool = False
    """Treat arrays as features [images, features] from your own network, not as images. A .npz may also
    contain logits."""

    count: Annotated[int, Interval(ge=1, le=10**8)] | None = None
    """Number of images to score. A run draws as many (unset: 50,000); of a folder or file the first are
    taken, by name or row (unset: all). Files of --reference and --training are always used whole."""

    skip_unreadable: bool = False
    """Leave out images that cannot be read. Off: they are errors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(len(set(self.metrics)) == len(self.metrics), "metrics", "each once")
