"""The recipes beside an independent re-implementation of the authors' code: the same weights after each
update."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from authors.convolutional import Convolutional
from authors.game import SemiSupervisedGame
from authors.imagenet import ImageNet
from authors.mnist import Mnist
from convergan.networks.conv import ConvGenerator
from convergan.networks.cross_batch_norm import CrossBatchNorm
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.techniques.weight_norm import WeightNormConv2d
from convergan.training.state import TrainingState
from convergan.training.step import Game
from recorded_game import GeneratorLoss, Recorded, in_double, recorded_game, step_alike

RATE = 0.003

NARROW: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (12, 10, 9), "generator_hidden": (9, 7), "latent_size": 5},
    "conv": {"width": 4, "generator_width": 8, "latent_size": 5, "reference_size": 6},
    "imagenet": {
        **{"width": 2, "dense_multiple": 4, "generator_width": 16, "latent_size": 6},
        **{"noise_maps": (2, 2, 1, 1, 1, 1), "reference_size": 5},
    },
}
KERNELS = {"minibatch_kernels": 4, "minibatch_kernel_size": 3}

GENERATOR: dict[str, tuple[int, GeneratorLoss]] = {
    "mnist-paper": (1, "squared"),
    "mnist": (1, "squared"),
    "mnist-mb": (3, "non-saturating"),
    "cifar10": (1, "absolute"),
    "svhn": (1, "absolute"),
    "cifar10-mb": (3, "minimax"),
    "svhn-mb": (3, "minimax"),
    "cifar10-samples": (3, "minimax"),
    "cifar10-samples-vbn-bn": (3, "minimax"),
    "cifar10-samples-l-ha": (3, "minimax"),
    "cifar10-samples-ls": (3, "minimax"),
    "cifar10-samples-l": (3, "minimax"),
    "cifar10-samples-mbf": (3, "minimax"),
}
"""Steps of the generator to each of the discriminator's, and what it minimizes."""

INPUT_NOISE = {name: None if name in ("cifar10", "svhn") else 0.2 for name in GENERATOR}
"""Standard deviation of the noise on colour images; None: dropout."""

POSITIVE = {
    name: 0.9 if name.startswith("cifar10-samples") and name != "cifar10-samples-ls" else 1.0
    for name in GENERATOR
}
"""The discriminator's target for real colour images."""

HISTORY = {name: 0.1 if name == "cifar10-samples-l-ha" else 0.0 for name in GENERATOR}
"""Weight of historical averaging."""

VIRTUAL = {name for name in GENERATOR if name.startswith("cifar10-samples")} - {
    "cifar10-samples-vbn-bn"
}
"""Recipes whose generator has virtual batch normalization."""

MNIST_DEPARTURES: dict[str, Any] = {
    **{"normalization_epsilon": 1e-5, "length_epsilon": 0.0},
    **{"form": "outside", "epsilon": 1e-4},
}
"""The settings of `mnist` in place of the authors' own."""


def networks_of(game: Game) -> tuple[Any, Any]:
    return game.players["discriminator"].network, game.players["generator"].network


def narrow(name: str) -> Recipe:
    """A recipe with narrow networks and small batches, its other settings as they are."""
    recipe = PRESETS[name]
    networks: Any = recipe.networks
    changes = NARROW[networks.kind]
    if networks.minibatch_kernels:
        changes = changes | KERNELS
    return replace(recipe, batch_size=6, networks=replace(networks, **changes))


def assert_equal(actual: Tensor, expected: Tensor, description: str) -> None:
    torch.testing.assert_close(
        actual.detach(),
        expected.detach(),
        rtol=1e-8,
        atol=1e-9,
        msg=lambda text: f"{description}: {text}",
    )


def steps_alike(
    played: tuple[Recorded, Game, TrainingState],
    authors_game: SemiSupervisedGame,
    name: str,
    steps: int,
) -> "HorizonAverage":
    """Take steps of both games, the authors' on the images and with the random numbers of the other; gives
    the average of the authors' discriminator's weights that starts from the first ones."""
    recorded, game, state = played
    generator_steps, generator_loss = GENERATOR[name]
    average = HorizonAverage()
    for step in range(steps):
        recorded.clear()
        state.position = step % 3
        game.step(state, RATE)
        step_alike(recorded, authors_game, generator_steps, generator_loss, RATE)
        average.update(authors_game.adam.weights)
    return average


class HorizonAverage:
    """The average that recipes have in place of the authors' one: it looks back over a tenth of the steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.values: list[Tensor] = []

    def update(self, weights: Sequence[Tensor]) -> None:
        self.steps += 1
        rate = min(1.0, max(1e-4, 10 / self.steps))
        values = self.values or [torch.zeros_like(weight) for weight in weights]
        self.values = [
            value + rate * (weight.detach() - value)
            for value, weight in zip(values, weights, strict=True)
        ]


@pytest.mark.parametrize(
    ("name", "departures"),
    [
        # Epsilons of normalization and length, and the form of Adam with its own, where they are not theirs.
        ("mnist-paper", {}),
        ("mnist", MNIST_DEPARTURES),
        ("mnist-mb", {**MNIST_DEPARTURES, "positive": 0.9}),
    ],
)
def test_mnist(name: str, departures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = narrow(name)
    with in_double():
        played = recorded_game(recipe, (8, 8, 1), monkeypatch)
        recorded, game, _ = played
        discriminator, generator = networks_of(game)
        hidden = [*discriminator.hidden, discriminator.output]
        weights = {f"theta{k}": layer.weight.detach().T for k, layer in enumerate(hidden)}
        if discriminator.minibatch:
            weights["kernels"] = discriminator.minibatch.theta.detach()
        dense, norms = generator.layers[0::3], generator.layers[1::3]
        authors_game = Mnist(
            weights,
            {f"W{k}": layer.weight.detach().T for k, layer in enumerate(dense)},
            **departures,
        )
        authors_game.initialize(
            recorded.initialization_inputs[0], recorded.passes[0], recipe.batch_size
        )
        average = steps_alike(played, authors_game, name, 36 if name == "mnist-paper" else 14)
        for k, layer in enumerate(hidden):
            assert_equal(layer.weight.T, authors_game.thetas[k], f"theta {k}")
            assert_equal(layer.gain, authors_game.scales[k], f"scale {k}")
            assert_equal(layer.bias, authors_game.biases[k], f"bias {k}")
        if discriminator.minibatch:
            assert_kernels_equal(discriminator.minibatch, authors_game)
        for k, layer in enumerate(dense):
            assert_equal(layer.weight.T, authors_game.weights[k], f"W {k}")
        for k, layer in enumerate([*norms, dense[-1]]):
            assert_equal(layer.bias, authors_game.shifts[k], f"shift {k}")
        assert_equal(dense[-1].gain, authors_game.output_scale, "scale of the output")
        averages: Any = game.players["discriminator"].tested
        tested = [*averages.hidden, averages.output]
        means = [layer.weight.T for layer in tested] + [layer.bias for layer in tested]
        means.append(averages.output.gain)
        from_zero = name == "mnist-paper"
        values = authors_game.average.values if from_zero else average.values
        # The weights of minibatch discrimination come last.
        for mean, expected in zip(means, values, strict=not discriminator.minibatch):
            assert_equal(mean, expected, "average")
        if from_zero:
            logits = averages.eval()(recorded.initialization_inputs[0]).logits
            assert_equal(
                logits,
                authors_game.judged_by_average(recorded.initialization_inputs[0]),
                "tested logits",
            )


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith(("cifar10", "svhn"))])
def test_cifar10_and_svhn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = narrow(name)
    with in_double():
        played = recorded_game(recipe, (32, 32, 3), monkeypatch)
        recorded, game, _ = played
        discriminator, generator = networks_of(game)
        # The labelled images and a batch of latents.
        images, latent = recorded.initialization_inputs
        assert len(images) == 9 and len(latent) == recipe.batch_size
        convolutions = [
            layer for layer in discriminator.layers if isinstance(layer, WeightNormConv2d)
        ]
        weights = {f"W{k}": layer.weight.detach() for k, layer in enumerate(convolutions)}
        weights["theta"] = discriminator.output.weight.detach().T
        if discriminator.minibatch:
            weights["kernels"] = discriminator.minibatch.theta.detach()
        is_virtual = name in VIRTUAL
        assert isinstance(generator, ConvGenerator) != is_virtual
        maps = generator.images.network if is_virtual else generator
        deconvolutions, norms = maps.layers[0::3], [maps.dense_norm, *maps.layers[1::3]]
        authors_game = Convolutional(
            weights,
            {
                "dense": maps.dense.weight.detach().T,
                **{f"W{k}": layer.weight.detach() for k, layer in enumerate(deconvolutions)},
            },
            noise=INPUT_NOISE[name],
            reference=generator.images.reference if is_virtual else None,
            positive=POSITIVE[name],
            history=HISTORY[name],
        )
        authors_game.initialize(images, latent, recorded.passes[0])
        steps_alike(played, authors_game, name, 5)
        for k, layer in enumerate(convolutions):
            assert_equal(layer.weight, authors_game.convolutions[k], f"W {k}")
            assert_equal(layer.gain, authors_game.scales[k], f"scale {k}")
            assert_equal(layer.bias, authors_game.biases[k], f"bias {k}")
        if discriminator.minibatch:
            assert_kernels_equal(discriminator.minibatch, authors_game)
        assert_equal(discriminator.output.weight.T, authors_game.theta, "theta")
        assert_equal(discriminator.output.gain, authors_game.output_scale, "scale of the output")
        assert_equal(discriminator.output.bias, authors_game.output_bias, "bias of the output")
        assert_equal(maps.dense.weight.T, authors_game.dense, "dense")
        for k, layer in enumerate(deconvolutions):
            assert_equal(layer.weight, authors_game.deconvolutions[k], f"transposed W {k}")
        shifts = [authors_game.dense_shift, *authors_game.shifts]
        for k, layer in enumerate([*norms, deconvolutions[-1]]):
            assert_equal(layer.bias, shifts[k], f"shift {k}")
        assert_equal(deconvolutions[-1].gain, authors_game.image_scale, "scale of the image")


def assert_kernels_equal(minibatch: nn.Module, authors_game: Any) -> None:
    assert_equal(minibatch.theta, authors_game.kernels, "kernels")  # type: ignore[arg-type]
    assert_equal(minibatch.log_scale, authors_game.log_scale, "log scale")  # type: ignore[arg-type]
    assert_equal(minibatch.bias, authors_game.similarity_bias, "similarity bias")  # type: ignore[arg-type]


def test_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = narrow("imagenet")
    with in_double():
        recorded, game, state = recorded_game(recipe, (64, 64, 3), monkeypatch, labelled=20)
        discriminator, generator = networks_of(game)
        assert not recorded.initialization_inputs
        levels, size = generator.images.network, recipe.batch_size
        convolutions = [layer for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]
        (dense,) = (layer for layer in discriminator.layers if isinstance(layer, nn.Linear))
        crosses = [layer for layer in discriminator.layers if isinstance(layer, CrossBatchNorm)]
        discriminator_weights = {
            **{f"W{k}": layer.weight for k, layer in enumerate(convolutions)},
            **{f"gain{k}": layer.weight for k, layer in enumerate(crosses)},
            "dense": dense.weight.T,
            "kernels": discriminator.minibatch.theta,
            "output": discriminator.output.weight.T,
        }
        generator_weights = {
            "dense": levels.dense.weight.T,
            **{f"gain{k}": layer.weight for k, layer in enumerate(levels.norms)},
            **{f"W{k}": layer.weight for k, layer in enumerate(levels.convolutions)},
            "bias": levels.convolutions[-1].bias,
        }

        def maps(latent: Tensor) -> list[Tensor]:
            first, *noise = latent.split(levels.noise_sizes, dim=1)
            shapes = levels.noise_shapes
            return [first, *(n.unflatten(1, s) for n, s in zip(noise, shapes, strict=True))]

        authors_game = ImageNet(
            detached(discriminator_weights),
            detached(generator_weights),
            maps(generator.images.reference),
        )
        discriminator_weights |= {f"shift{k}": layer.bias for k, layer in enumerate(crosses)}
        generator_weights |= {f"shift{k}": layer.bias for k, layer in enumerate(levels.norms)}
        discriminator_weights["bias"] = discriminator.output.bias
        for step in range(6):
            recorded.clear()
            state.position = step % 3
            game.step(state, RATE)
            ((noise,),), (latent,), (batch,) = recorded.passes, recorded.latents, recorded.real
            # One real batch, which is the labelled and the unlabelled one, and one pass.
            assert batch.sizes == [size] and noise.shape[0] == 2 * size and not recorded.matched
            authors_game.train(batch["labelled"], batch.labels, maps(latent), noise, RATE)
        for weights, expected in (
            (discriminator_weights, authors_game.d),
            (generator_weights, authors_game.g),
        ):
            assert weights.keys() == expected.keys()
            for name, weight in weights.items():
                assert_equal(weight, expected[name], name)


def detached(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in weights.items()}
