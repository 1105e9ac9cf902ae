"""How images are scored, as typed settings without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.ranges import Checked, Seed

_Value = Annotated[float, Interval(ge=-1e9, le=1e9)]

MetricName = Literal["is", "fid", "kid", "pr"]

DRAWN = 50_000
"""Images that are drawn from a run, unless a number is set."""


@dataclass(frozen=True, kw_only=True)
class ScoreFiles(Checked):
    """What is beside the images that are scored, and where results go."""

    reference: Path | None = None
    """Real images, or their saved features: for fid, kid and pr; or a .npz with their mean and covariance:
    for fid."""

    versus: Path | None = None
    """Other images, as many, or the --json of an earlier call, a .json: whether scores differ by more than
    chance."""

    training: Path | None = None
    """The images that the generator was trained on: whether it copies them."""

    classifier: Path | None = None
    """A run whose classifier looks at the images. Unset: the Inception network of 2015."""

    weights: Path | None = None
    """The Inception network's weights. Unset: from the cache, or downloaded into it."""

    json: Path | None = None
    """File to write all numbers to, with everything that they depend on. `-`: the standard output."""

    figures: Path | None = None
    """Folder to write figures to."""

    save_statistics: Path | None = None
    """A .npz to write mean and covariance of the images' features to, as a later --reference."""

    save_features: Path | None = None
    """A .npz to write the images' features and logits to: later calls take it in place of the images."""

    overwrite: bool = False
    """Replace files that are there."""


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(Checked):
    """How images are scored."""

    metrics: tuple[MetricName, ...] = ()
    """is: Inception score; fid; kid; pr: precision, recall, density, coverage. Unset: all that the
    reference allows."""

    protocol: Literal["paper", "shuffled"] = "paper"
    """Of the Inception score: `paper`: splits in the order given; `shuffled`: in a drawn order."""

    splits: Annotated[int, Interval(ge=1, le=10**6)] = 10
    """Of the Inception score."""

    split_seed: Seed = 2020
    """Of the `shuffled` order; the default is torch-fidelity's."""

    kid_subsets: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Random subsets that KID is the mean of; 0: all pairs of all images."""

    kid_subset_size: Annotated[int, Interval(ge=2, le=10**6)] = 1000
    """Images in each of them."""

    intervals: bool = True
    """Say how certain the numbers are."""

    seed: Seed = 0
    """Of the groups that some intervals come from, and of the images drawn from a run."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the network: fp32, or bf16, which is faster on GPUs and moves the numbers a little."""

    pixel_range: tuple[_Value, _Value] | None = None
    """Values of black and white in those arrays that are of floats: 0 1, say."""

    split: Literal["train", "test"] | None = None
    """Of those parquet files that name their splits."""

    key: str | None = None
    """Of a .npz with several arrays: the one that holds the images. Unset: the only one, or arr_0."""

    features: bool = False
    """Arrays are features [images, features] of a network of your own, and no images; a .npz may hold logits
    as well."""

    count: Annotated[int, Interval(ge=1, le=10**8)] | None = None
    """Images to draw from a run. Unset: 50,000."""

    skip_unreadable: bool = False
    """Leave out images that cannot be read; otherwise they are errors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(len(set(self.metrics)) == len(self.metrics), "metrics", "each once")
