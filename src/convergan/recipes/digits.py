"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data that comes with a dependency.

The paper has no such experiment: the networks are its MNIST ones, the schedule fits the small data.
"""

from convergan.recipes.settings import DataSettings, MLPSettings, Recipe

RECIPE = Recipe(
    name="digits",
    labels=100,
    epochs=250,
    data=DataSettings(source="digits"),
    networks=MLPSettings(),
)
