"""CIFAR-10 as in Section 6.2 and the authors' code.

Departures: Adam's 1e-8 stands inside the root there and is 1e-4 outside it here; the weights' running average
starts with the weights instead of zero, and looks back over a tenth of the steps so far until that is the
authors' 1e-4, after 100,000 steps.
"""

from convergan.recipes.networks import ConvSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings

RECIPE = Recipe(
    name="cifar10",
    labels=4000,
    epochs=1200,
    data=DataSettings(source="cifar10"),
    networks=ConvSettings(width=96),
    objective=ObjectiveSettings(feature_matching=FeatureMatchingSettings(distance="absolute")),
    # Constant to epoch 800 of 1,200.
    optimizer=OptimizerSettings(learning_rate=3e-4, decay_from=2 / 3),
)
