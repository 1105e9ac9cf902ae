"""Your own images: the CIFAR-10 networks, narrower, so that two CPU cores train them."""

from convergan.recipes.settings import (
    ConvSettings,
    DataSettings,
    ObjectiveSettings,
    OptimizerSettings,
    Recipe,
)

RECIPE = Recipe(
    name="folder",
    epochs=40,
    min_steps_per_epoch=10,
    batch_size=50,
    data=DataSettings(source="folder"),
    networks=ConvSettings(width=32, generator_width=128),
    objective=ObjectiveSettings(feature_distance="absolute"),
    # A short run: a larger rate than the paper's, and a longer decay.
    optimizer=OptimizerSettings(learning_rate=1e-3, decay_from=0.5),
)
