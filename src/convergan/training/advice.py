"""Advice on problems in training: options that the recipe does not use yet."""

from dataclasses import fields

from convergan.recipes.settings import Recipe


def advice_on_collapse(recipe: Recipe) -> str:
    """Advice for a generator that makes the same image again and again."""
    objective = recipe.objective
    options: list[str] = []
    if objective.feature_matching.weight:
        options += ["--objective.feature-matching.weight 0", "--objective.minimax.weight 1"]
    kernels = getattr(recipe.networks, "minibatch_kernels", None)
    if kernels == 0:
        options.append("--networks.minibatch-kernels 100")
    elif kernels is None and not objective.pull_away.weight:
        options.append("--objective.pull-away.weight 0.1")
    reassurance = "the classifier may still be good; " if objective.is_supervised else ""
    return f"{reassurance}for better samples train with {' '.join(options) or _slower(recipe)}"


def advice_on_saturation(recipe: Recipe) -> str:
    """Advice for a discriminator that tells every sample from the data."""
    smoothed = recipe.objective.real_or_generated
    ways: list[str] = []
    if smoothed.weight and smoothed.positive_target == 1:
        ways.append("smooth its targets with --objective.real-or-generated.positive-target 0.9")
    options = [field.name for field in fields(recipe.networks) if field.name.endswith(_RANDOM)]
    if options:
        kinds = " or ".join(
            kind for kind in _RANDOM if any(name.endswith(kind) for name in options)
        )
        names = ", ".join(f"--networks.{name.replace('_', '-')}" for name in options)
        ways.append(f"give it more {kinds} ({names})")
    return ", or ".join(ways) or f"train more slowly, with {_slower(recipe)}"


_RANDOM = ("noise", "dropout")
"""Last words of the names of settings that add randomness to a discriminator."""


def _slower(recipe: Recipe) -> str:
    return f"--optimizer.learning-rate {recipe.optimizer.learning_rate / 2:g}"
