"""The paper's tables and figures: their recipes, numbers of labels and published numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from convergan.experiments.published import CIFAR10, INCEPTION_SCORES, MNIST, SVHN, Published

TableName = Literal["table1", "table2", "table3", "svhn", "figures"]

Unit = Literal["errors", "%", "Inception score", "samples"]

_OTHER_AVERAGE = (
    "as in the authors' code, except that the running average of the weights starts with the weights in place"
    " of zero, and that products are in bf16 on processors with units for it"
)

SCORED_IMAGES = 50_000
"""Number of samples for an Inception score of Table 3."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or figure of the paper."""

    name: TableName
    title: str
    unit: Unit
    """Unit of the numbers: `errors` counts misclassified test images, `%` is their share."""

    recipes: tuple[str, ...]
    """Names of the presets that fill it."""

    labels: tuple[int, ...] = ()
    """Columns of the table; none: the recipes' own labels, and a row for each of `variants`."""

    draws: int = 10
    """Number of draws of labels, or of seeds."""

    members: int = 1
    """Number of models in an ensemble; 1: there are no ensembles."""

    published: tuple[Published, ...] = ()

    variants: Mapping[str, str] = field(default_factory=dict)
    """Names in the paper, by the name of the preset."""

    separate: tuple[str, ...] = ()
    """Presets on the table's images that have no counterpart in the paper: see `has_counterpart`."""

    test_size: int | None = None
    """Number of test images in the paper; None: the table has no test errors."""

    departures: Mapping[str, str] = field(default_factory=dict)
    """Differences between a preset's settings and the paper's, by its name."""

    chosen_by: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """Draws whose test errors chose settings of a preset, by preset and column."""


TABLES: dict[TableName, Table] = {
    table.name: table
    for table in (
        Table(
            name="table1",
            title="Table 1: MNIST, permutation-invariant",
            unit="errors",
            recipes=("mnist",),
            labels=(20, 50, 100, 200),
            members=10,
            published=MNIST,
            separate=("mnist-fast",),
            test_size=10_000,
            departures={
                "mnist": "150 epochs in place of the authors' 300, a learning rate of .0018 in place of .003,"
                " and other departures from their code; mnist-paper has none"
            },
            chosen_by={("mnist", "100"): (0, 1)},
        ),
        Table(
            name="table2",
            title="Table 2: CIFAR-10",
            unit="%",
            recipes=("cifar10",),
            labels=(1000, 2000, 4000, 8000),
            members=10,
            test_size=10_000,
            published=CIFAR10,
            departures={"cifar10": _OTHER_AVERAGE},
        ),
        Table(
            name="svhn",
            title="Figure 5: SVHN",
            unit="%",
            recipes=("svhn",),
            labels=(500, 1000, 2000),
            members=10,
            test_size=26_032,
            published=SVHN,
            departures={"svhn": _OTHER_AVERAGE},
        ),
        Table(
            name="table3",
            title="Table 3: samples of CIFAR-10",
            unit="Inception score",
            recipes=(
                "cifar10-samples",
                "cifar10-samples-vbn-bn",
                "cifar10-samples-l-ha",
                "cifar10-samples-ls",
                "cifar10-samples-l",
                "cifar10-samples-mbf",
            ),
            draws=1,
            published=INCEPTION_SCORES,
            departures={
                "cifar10-samples": "neither the paper nor the authors' code has the settings of this"
                " experiment; these are those of their script for samples, with the paper's techniques added"
            },
            variants={
                "cifar10-samples": "our methods",
                "cifar10-samples-vbn-bn": "-VBN+BN",
                "cifar10-samples-l-ha": "-L+HA",
                "cifar10-samples-ls": "-LS",
                "cifar10-samples-l": "-L",
                "cifar10-samples-mbf": "-MBF",
            },
        ),
        Table(
            name="figures",
            title="Figures 3 to 6: samples",
            unit="samples",
            recipes=("mnist", "mnist-mb", "cifar10", "cifar10-mb", "svhn", "imagenet"),
            draws=1,
            variants={
                "mnist": "Figure 3, feature matching",
                "mnist-mb": "Figure 3, minibatch discrimination",
                "cifar10": "Figure 4, feature matching",
                "cifar10-mb": "Figure 4, minibatch discrimination",
                "svhn": "Figure 5, feature matching",
                "imagenet": "Figure 6",
            },
        ),
    )
}
