"""MNIST with minibatch discrimination in place of feature matching: better samples, a worse classifier."""

from dataclasses import replace

from convergan.recipes import mnist
from convergan.recipes.settings import MLPSettings, ObjectiveSettings, OptimizerSettings, Recipe

RECIPE: Recipe = replace(
    mnist.RECIPE,
    name="mnist-mb",
    epochs=30,
    networks=MLPSettings(minibatch_kernels=100, minibatch_kernel_size=5),
    objective=ObjectiveSettings(generator="non-saturating"),
    optimizer=OptimizerSettings(learning_rate=1e-3, decay_from=0.5),
)
