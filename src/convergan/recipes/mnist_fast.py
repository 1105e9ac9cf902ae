"""MNIST with 100 labels in 3,000 steps: shifted and rotated digits, and consistency.

This recipe has no counterpart among the paper's MNIST experiments, which are permutation-invariant: its
network knows that pixels have neighbours, and learns that a digit stays the same if it is shifted or rotated
a little.
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
