"""MNIST with 100 labels exactly as in the authors' script: 300 epochs in 32 bits.

Everything is as in their code: Adam with 1e-8 inside the root, at a constant rate of .003; Glorot's
directions in the generator's last layer; an EMA that starts from zero and moves by 1e-4 per step; noise
that is drawn afresh for each use; and samples normalized by the statistics of their batch. Tests compare the
recipe with an independent re-implementation in float64 (tests/authors).

Departures: none in what is computed. Pixels are x / 255: the authors' file, mnist.npz, holds floats in [0, 1]
whose divisor, 255 or 256, is not known. Random numbers come from other generators, so that other images are
labelled and the images of an epoch come in another order.
"""

from dataclasses import replace

from convergan.recipes import mnist
from convergan.recipes.networks import MLPSettings
from convergan.recipes.settings import HardwareSettings, OptimizerSettings, Recipe

RECIPE: Recipe = replace(
    mnist.RECIPE,
    name="mnist-paper",
    epochs=300,
    drop_remainder=True,
    baseline=False,
    networks=MLPSettings(generator_output="glorot", normalization_epsilon=1e-6, sample_batch=100),
    optimizer=OptimizerSettings(
        learning_rate=3e-3, epsilon=1e-8, epsilon_place="inside", averaging_start="zero"
    ),
    hardware=HardwareSettings(precision="fp32", noise="fresh"),
)
