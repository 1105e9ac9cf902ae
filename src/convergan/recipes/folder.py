"""Your own images: the CIFAR-10 networks, much narrower, so that two CPU cores train them in minutes.

With a GPU or patience, `--networks.width 96 --networks.generator-width 512 --epochs 200` is the paper's size.
Gains are not initialized from data: with that, the generator stayed a tenth as diverse as the data.
"""

from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import ConvSettings, DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings

RECIPE = Recipe(
    name="folder",
    epochs=30,
    min_steps_per_epoch=10,
    batch_size=32,
    data=DataSettings(source="folder"),
    networks=ConvSettings(width=16, generator_width=64, data_dependent_initialization=False),
    objective=ObjectiveSettings(feature_matching=FeatureMatchingSettings(distance="absolute")),
    # A short run: a larger rate than the paper's, and a longer decay.
    optimizer=OptimizerSettings(learning_rate=1e-3, decay_from=0.5),
)
