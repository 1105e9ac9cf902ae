"""MNIST, permutation-invariant, as in Section 6.1 and the authors' code.

Departures: Adam's 1e-8 stands inside the root there and is 1e-4 outside it here; the weights' running
average starts with the weights instead of zero; the gains are not initialized from data. With that
initialization, which the authors have, the features' distance averaged 12 over the first epoch, and five
epochs ended with 1,953 errors of 10,000; without it 0.2, and 1,094 (benchmarks/mnist_start.py). The
epsilon inside the root made no difference to that. Why the authors' code trains so is not known.
"""

from convergan.recipes.settings import DataSettings, MLPSettings, OptimizerSettings, Recipe

RECIPE = Recipe(
    name="mnist",
    labels=100,
    epochs=80,
    data=DataSettings(source="mnist"),
    networks=MLPSettings(data_dependent_initialization=False),
    optimizer=OptimizerSettings(decay_from=0.5),
)
