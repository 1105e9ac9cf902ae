"""SVHN as in Section 6.3 and the authors' code.

Departures: Adam's 1e-8 stands inside the root there and is 1e-4 outside it here; the weights' running average
starts with the weights instead of zero, and looks back over a tenth of the steps so far until that is the
authors' 1e-4, after 100,000 steps.
"""

from convergan.recipes.networks import ConvSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings

RECIPE = Recipe(
    name="svhn",
    labels=1000,
    epochs=900,
    data=DataSettings(source="svhn"),
    networks=ConvSettings(width=64),
    objective=ObjectiveSettings(feature_matching=FeatureMatchingSettings(distance="absolute")),
    # Constant to epoch 600 of 900.
    optimizer=OptimizerSettings(learning_rate=3e-4, decay_from=2 / 3),
)
