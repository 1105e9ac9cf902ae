"""SVHN with minibatch discrimination instead of feature matching: for samples, as in the authors' code.

The networks are those of `cifar10-mb`, whose discriminator is wider than that of `svhn`. Departures: those of
`cifar10-mb`.
"""

from dataclasses import replace

from convergan.recipes import cifar10_minibatch, svhn
from convergan.recipes.settings import Recipe

RECIPE: Recipe = replace(
    svhn.RECIPE,
    name="svhn-mb",
    baseline=False,
    networks=replace(cifar10_minibatch.NETWORKS, pixel_limit=1.0),
    objective=cifar10_minibatch.OBJECTIVE,
    hardware=cifar10_minibatch.RECIPE.hardware,
)
