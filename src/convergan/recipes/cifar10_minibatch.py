"""CIFAR-10 with minibatch discrimination instead of feature matching: for samples, as in the authors' code.

It has Gaussian noise on the input instead of dropout, 100 kernels of dimension 5 after the global mean, the
minimax loss, and three steps of the generator for each step of the discriminator. It is not meant as a
classifier: for semi-supervised learning, Section 5 says, minibatch discrimination does not work at all.

Departures: those of `cifar10`. In evaluation, an image is compared with the last real images of training, so
that its output does not depend on the rest of its batch.
"""

from dataclasses import replace

from convergan.recipes import cifar10
from convergan.recipes.networks import ConvSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings, MinimaxSettings

OBJECTIVE = ObjectiveSettings(
    feature_matching=FeatureMatchingSettings(weight=0.0),
    minimax=MinimaxSettings(weight=1.0),
    generator_steps=3,
)

NETWORKS: ConvSettings = replace(
    cifar10.NETWORKS,
    input_dropout=0.0,
    input_noise=0.2,
    minibatch_kernels=100,
    minibatch_kernel_size=5,
)

RECIPE: Recipe = replace(
    cifar10.RECIPE,
    name="cifar10-mb",
    baseline=False,
    networks=NETWORKS,
    objective=OBJECTIVE,
    hardware=HardwareSettings(noise="fresh"),
)
