"""ImageNet at 128x128 pixels, all labels, for samples: Section 6.4 and the authors' code.

Virtual batch normalization, minibatch discrimination with both halves, and one-sided label smoothing.

Departures: the supervised part is a cross-entropy over the 1,000 classes given that the image is real,
where the authors' includes "generated"; the real half holds a labelled and an unlabelled batch, not one
batch that serves as both. Neither the paper nor the code says how long to train: the latter runs until
it is stopped, and its disabled option has 25 epochs.
"""

from convergan.recipes.networks import ImageNetSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings, RealOrGeneratedSettings, TargetSettings

RECIPE = Recipe(
    name="imagenet",
    epochs=25,
    # The authors have 64 on each device; this is over all of them.
    batch_size=64,
    data=DataSettings(source="imagenet", size_px=128),
    networks=ImageNetSettings(),
    objective=ObjectiveSettings(
        real_or_generated=RealOrGeneratedSettings(weight=1.0, positive_target=0.75),
        feature_matching=FeatureMatchingSettings(weight=0.0),
        # Half the positive target.
        target=TargetSettings(weight=1.0, probability=0.375),
    ),
    optimizer=OptimizerSettings(
        learning_rate=4e-4,
        # The usual one: it is feature matching that explodes with it.
        epsilon=1e-8,
        # The weights themselves are tested, as the authors do: the statistics of the discriminator's batch
        # normalization are those of the weights, not of their average.
        averaging_rate=1.0,
    ),
)
