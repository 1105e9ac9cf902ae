"""ImageNet at 128x128 pixels, all labels, for samples: Section 6.4 and the authors' code.

It uses virtual batch normalization, minibatch discrimination with both halves, and one-sided label smoothing.
A step has 16 real images, which serve both as labelled and as unlabelled ones, and 16 generated images, and
updates both players from one forward pass.

Departures, none of which has been measured: the authors have four such batches, one on each of four devices,
and average their gradients; here a step has one, so that one device is enough. In evaluation, batch
normalization uses running statistics, and an image is compared with the last images of training, so that its
output does not depend on the rest of its batch; the authors never evaluate. Neither the paper nor the code
says how long to train: the code runs until it is stopped, and a disabled option in it has 25 epochs.
"""

from convergan.recipes.networks import ImageNetSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, HardwareSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    RealOrGeneratedSettings,
    SupervisedSettings,
    TargetSettings,
)

RECIPE = Recipe(
    name="imagenet",
    epochs=25,
    batch_size=16,
    data=DataSettings(source="imagenet", size_px=128),
    networks=ImageNetSettings(
        reference_size=16,
        normalization="cross",
        padding="tensorflow",
        minibatch_projection="plain",
        data_dependent_initialization=False,
    ),
    objective=ObjectiveSettings(
        supervised=SupervisedSettings(include_generated=True),
        real_or_generated=RealOrGeneratedSettings(weight=1.0, positive_target=0.75),
        feature_matching=FeatureMatchingSettings(weight=0.0),
        # Half the positive target.
        target=TargetSettings(weight=1.0, probability=0.375),
        update="simultaneous",
        shared_real_batch=True,
    ),
    optimizer=OptimizerSettings(
        learning_rate=4e-4,
        # The usual value: only feature matching diverges with it.
        epsilon=1e-8,
        epsilon_place="uncorrected",
        # The weights themselves are tested: the statistics of the discriminator's batch normalization are
        # those of the weights, not of their EMA.
        averaging_rate=1.0,
    ),
    hardware=HardwareSettings(precision="fp32", noise="fresh"),
)
