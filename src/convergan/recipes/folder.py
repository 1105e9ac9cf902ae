"""A few labels on your own images: a small network, trained with consistency between views of an image.

It learns from consistency between a weak and a strong view of unlabelled images (FixMatch, with FreeMatch's
thresholds). It has no GAN, which would double the cost of a step, and five minutes on two cores are short of
steps. `--arms composed gan` shows whether a GAN is worth that cost on your own images. Use `--data.no-flip`
if a mirror image may belong to another class. If no image has a label, a generator is trained with the
paper's losses.
"""

from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.networks import ResidualSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import (
    ConsistencySettings,
    FeatureMatchingSettings,
    RealOrGeneratedSettings,
)

OPTIMIZER = OptimizerSettings(
    learning_rate=3e-3,
    generator_rate=0.33,
    warmup=0.15,
    decay_from=0.15,
    decay="cosine",
    weight_decay=5e-4,
    beta1=0.9,
    beta2=0.99,
    epsilon=1e-8,
    averaging_rate=0.01,
)
"""AdamW over one cycle, and an EMA over only 100 steps, because runs are short."""

OBJECTIVE = ObjectiveSettings(
    consistency=ConsistencySettings(weight=1.0, threshold=1.0, adaptive_threshold=True),
    real_or_generated=RealOrGeneratedSettings(weight=0.0),
    feature_matching=FeatureMatchingSettings(weight=0.0, distance="absolute"),
)

RECIPE = Recipe(
    name="folder",
    minutes=5.0,
    epochs=20,
    baseline_steps=1500,
    batch_size=16,
    unlabelled_batch_size=48,
    data=DataSettings(source="folder", flip=True),
    augmentation=AugmentationSettings(
        kind="photographs",
        rotation=15,
        scale=0.15,
        shear=0.15,
        brightness=0.25,
        contrast=0.5,
        saturation=0.5,
        cutout=14 / 32,
    ),
    networks=ResidualSettings(),
    objective=OBJECTIVE,
    optimizer=OPTIMIZER,
)
