"""CIFAR-10 as in Section 6.2 and the authors' code; the departures are those of `mnist`."""

from convergan.recipes.settings import (
    ConvSettings,
    DataSettings,
    ObjectiveSettings,
    OptimizerSettings,
    Recipe,
)

RECIPE = Recipe(
    name="cifar10",
    labels=4000,
    epochs=1200,
    data=DataSettings(source="cifar10"),
    networks=ConvSettings(width=96),
    objective=ObjectiveSettings(feature_distance="absolute"),
    # Constant to epoch 800 of 1,200.
    optimizer=OptimizerSettings(learning_rate=3e-4, decay_from=2 / 3),
)
