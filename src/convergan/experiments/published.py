"""Numbers that the paper and its successors have published, read in their first source."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A mean and its standard deviation, in the unit of its table."""

    mean: float
    stdev: float | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of published numbers, by column."""

    name: str
    """Name of the row, at most 24 characters."""

    numbers: Mapping[str, Number]
    """Numbers by the name of the column, such as "100": labels, or a variant of Table 3."""

    source: str
    """Source of the numbers: publication, and table or file."""


def _paper(name: str, numbers: Mapping[str, Number], place: str) -> Published:
    source = f"Salimans et al. 2016 (arXiv 1606.03498), {place}"
    return Published(name=name, numbers=numbers, source=source)


MNIST = (
    _paper(
        "paper",
        {
            "20": Number(1677, 452),
            "50": Number(221, 136),
            "100": Number(93, 6.5),
            "200": Number(90, 4.2),
        },
        "Table 1",
    ),
    _paper(
        "paper, ensemble of 10",
        {
            "20": Number(1134, 445),
            "50": Number(142, 96),
            "100": Number(86, 5.6),
            "200": Number(81, 4.3),
        },
        "Table 1",
    ),
    Published(
        name="Bad GAN",
        numbers={"100": Number(79.5, 9.8)},
        source="README of github.com/kimiyoung/ssl_bad_gan: up to 2,000 epochs, a pretrained PixelCNN",
    ),
    Published(
        name="Ladder + PBWN",
        numbers={"20": Number(252, 242), "50": Number(106, 48), "100": Number(91, 5)},
        source="README of github.com/huangleiBuaa/Ladder_deepSSL_NP (arXiv 1710.02338): no GAN",
    ),
)

CIFAR10 = (
    _paper(
        "paper",
        {
            "1000": Number(21.83, 2.01),
            "2000": Number(19.61, 2.09),
            "4000": Number(18.63, 2.32),
            "8000": Number(17.72, 1.82),
        },
        "Table 2",
    ),
    _paper(
        "paper, ensemble of 10",
        {
            "1000": Number(19.22, 0.54),
            "2000": Number(17.25, 0.66),
            "4000": Number(15.59, 0.47),
            "8000": Number(14.87, 0.89),
        },
        "Table 2",
    ),
    Published(
        name="Bad GAN",
        numbers={"4000": Number(14.41, 0.30)},
        source="README of github.com/kimiyoung/ssl_bad_gan: no augmentation",
    ),
    Published(
        name="CT-GAN, augmented",
        numbers={"4000": Number(9.98, 0.21)},
        source="README of Mean Teacher (github.com/CuriousAI/mean-teacher): mirrored, shifted by 2 pixels",
    ),
    Published(
        name="CRMatch, augmented",
        numbers={"4000": Number(3.81, 0.16)},
        source="results/classic_cv.csv of USB (github.com/microsoft/Semi-supervised-learning): no GAN, "
        "WRN-28-2, 2^20 steps",
    ),
)

SVHN = (
    _paper(
        "paper",
        {"500": Number(18.44, 4.8), "1000": Number(8.11, 1.3), "2000": Number(6.16, 0.58)},
        "Figure 5",
    ),
    _paper("paper, ensemble of 10", {"1000": Number(5.88, 1.0)}, "Figure 5"),
    Published(
        name="Bad GAN",
        numbers={"1000": Number(4.25, 0.03)},
        source="README of github.com/kimiyoung/ssl_bad_gan",
    ),
    Published(
        name="CRMatch, extra images",
        numbers={"1000": Number(1.91, 0.02)},
        source="results/classic_cv.csv of USB (github.com/microsoft/Semi-supervised-learning): no GAN, "
        "604,388 training images, which is not the paper's setting",
    ),
)

INCEPTION_SCORES = (
    _paper(
        "paper",
        {
            "real data": Number(11.24, 0.12),
            "our methods": Number(8.09, 0.07),
            "-VBN+BN": Number(7.54, 0.07),
            "-L+HA": Number(6.86, 0.06),
            "-LS": Number(6.83, 0.06),
            "-L": Number(4.36, 0.04),
            "-MBF": Number(3.87, 0.03),
        },
        "Table 3; -VBN+BN, -LS and -MBF second-hand; ± over ten parts of 50,000 samples of one model",
    ),
)
