"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data that comes with a dependency.

The paper has no such experiment. The networks are its MNIST ones, half as wide and with less noise: at
0.3 and 0.5 it drowns 64 pixels. The unsupervised part has the weight of Eq. 5, with which few epochs do.
"""

from convergan.recipes.settings import (
    DataSettings,
    MLPSettings,
    ObjectiveSettings,
    OptimizerSettings,
    Recipe,
)

RECIPE = Recipe(
    name="digits",
    labels=100,
    epochs=120,
    data=DataSettings(source="digits"),
    networks=MLPSettings(
        hidden=(500, 250, 250, 250, 250),
        input_noise=0.1,
        hidden_noise=0.2,
        generator_hidden=(250, 250),
    ),
    objective=ObjectiveSettings(unsupervised_weight=1.0),
    optimizer=OptimizerSettings(decay_from=0.5),
)
