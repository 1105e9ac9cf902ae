"""MNIST, permutation-invariant, as in Section 6.1 and the authors' code.

Departures: Adam's 1e-8 stands inside the root there and is 1e-4 outside it here; the weights' running
average starts with the weights instead of zero.
"""

from convergan.recipes.settings import DataSettings, MLPSettings, Recipe

RECIPE = Recipe(
    name="mnist",
    labels=100,
    epochs=300,
    data=DataSettings(source="mnist"),
    networks=MLPSettings(),
)
