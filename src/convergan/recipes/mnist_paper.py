"""MNIST with 100 labels exactly as in the authors' script: 300 epochs in 32 bits.

Here everything is theirs: Adam with 1e-8 inside the root at a constant rate of .003; Glorot's directions in
the generator's last layer; an average that starts from zeros and moves by 1e-4 a step; noise that is drawn
afresh for each use; samples by the statistics of their batch. Held against an independent re-implementation
in float64 (tests/authors).

Departures: none in what is computed. Pixels are x / 255: those of the file that the authors read, mnist.npz,
are floats in [0, 1] whose divisor, 255 or 256, could not be seen. Random numbers are drawn by other
generators, the labelled images among them, and images of a step are drawn in other orders.
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
