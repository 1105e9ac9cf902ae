"""MNIST with 100 labels in 3,000 steps: shifted and rotated digits, and consistency.

No counterpart of the paper's experiments, which are permutation-invariant: this network knows that pixels
have neighbours, and that a digit that is moved or turned a little stays the same digit.
"""

from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.folder import OBJECTIVE, OPTIMIZER
from convergan.recipes.networks import ResidualSettings
from convergan.recipes.settings import DataSettings, Recipe

RECIPE = Recipe(
    name="mnist-fast",
    labels=100,
    baseline=False,
    steps=3000,
    epochs=15,
    batch_size=16,
    unlabelled_batch_size=48,
    data=DataSettings(source="mnist"),
    augmentation=AugmentationSettings(kind="digits", rotation=20, scale=0.15, shear=0.2),
    networks=ResidualSettings(),
    objective=OBJECTIVE,
    optimizer=OPTIMIZER,
)
