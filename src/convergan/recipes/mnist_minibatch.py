"""MNIST with minibatch discrimination instead of feature matching: for samples, as in Figure 3.

The paper gives no settings for it. The kernels, 100 of dimension 5, and the three steps of the generator for
each step of the discriminator are those of the authors' variant for CIFAR-10. Departures from that variant:
the generator maximizes log D in place of minimizing log(1 - D), which is flat where the discriminator is
confident; the discriminator's positive target is .9, as in Section 3.4; the learning rate is .001, and falls
over the second half of 30 epochs. With one step and a target of 1, the discriminator was certain after 25
epochs, and the samples were worse than after 12 epochs of this recipe (a note on single runs). In evaluation,
an image is compared with the last real images of training, so that its output does not depend on the rest of
its batch; the similarities are initialized within batches of the first images, as they are compared in
training. The other departures are those of `mnist`. The recipe is not meant as a classifier: for
semi-supervised learning, Section 5 says, minibatch discrimination does not work at all.
"""

from dataclasses import replace

from convergan.recipes import mnist
from convergan.recipes.networks import MLPSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import OptimizerSettings, Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    NonSaturatingSettings,
    RealOrGeneratedSettings,
)

RECIPE: Recipe = replace(
    mnist.RECIPE,
    name="mnist-mb",
    epochs=30,
    networks=MLPSettings(minibatch_kernels=100, minibatch_kernel_size=5),
    objective=ObjectiveSettings(
        real_or_generated=RealOrGeneratedSettings(positive_target=0.9),
        feature_matching=FeatureMatchingSettings(weight=0.0),
        non_saturating=NonSaturatingSettings(weight=1.0),
        generator_steps=3,
    ),
    optimizer=OptimizerSettings(learning_rate=1e-3, decay_from=0.5),
)
