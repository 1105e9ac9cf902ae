"""The ImageNet networks: their sizes, whom a sample is compared with, and the reference batch."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.data.splits import draw_split
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.inference.sample import sample
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.cross_batch_norm import CrossBatchNorm
from convergan.networks.imagenet import ImageNetDiscriminator, ImageNetGenerator
from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.recipes.networks import ImageNetSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, Recipe
from convergan.recipes.terms import FeatureMatchingSettings, TargetSettings, TermSettings
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.model import load_generator
from convergan.techniques.semi_supervised import real_probability_logit
from convergan.techniques.virtual_batch_norm import VirtualBatchNorm2d
from convergan.techniques.weight_norm import initialize_from_data
from convergan.training.checkpointing import Interrupted, LoopOptions
from convergan.training.launch import choose_device
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.run import train
from convergan.training.samples import fixed_samples
from support import FORMER, equal_states, with_generator_term

SMALL = ImageNetSettings(
    width=2,
    dense_multiple=4,
    generator_width=16,
    latent_size=6,
    noise_maps=(2, 2, 1, 1, 1, 1),
    reference_size=4,
    minibatch_kernels=3,
    minibatch_kernel_size=2,
)
AUTHORS = replace(
    SMALL,
    normalization="cross",
    padding="tensorflow",
    minibatch_projection="plain",
    data_dependent_initialization=False,
)
"""Settings as in the authors' code; `SMALL` has those of earlier versions."""
SHAPE = (3, 32, 32)


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def images_of(rows: int, seed: int = 1) -> Tensor:
    return torch.rand(rows, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def discriminator(
    settings: ImageNetSettings = SMALL, outputs: int = 4, seed: int = 0
) -> ImageNetDiscriminator:
    """A discriminator without noise, initialized from data if its settings say so."""
    torch.manual_seed(seed)
    network = ImageNetDiscriminator(replace(settings, input_noise=0.0), SHAPE, outputs)
    if settings.data_dependent_initialization:
        initialize_from_data(network, images_of(12, seed=9))
    return network


def similarities(network: ImageNetDiscriminator, images: Tensor, groups: Sequence[int]) -> Tensor:
    """Inputs of the output layer but for features and bias, [batch, halves, kernels]."""
    calls: list[Tensor] = []
    hook = network.output.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    with torch.no_grad():
        network(images, groups)
    hook.remove()
    assert network.minibatch is not None and network.minibatch.bias is not None
    return (calls[0][:, network.minibatch.in_features :] - network.minibatch.bias).unflatten(
        1, (2, -1)
    )


def test_networks_have_the_papers_sizes() -> None:
    settings = PRESETS["imagenet"].networks
    with torch.device("meta"):
        judge = build_discriminator(settings, (3, 128, 128), 1000)
        maker = build_generator(settings, (3, 128, 128))
        assert judge(torch.empty(4, 3, 128, 128)).logits.shape == (4, 1000)
    widths = [3, 64, 128, 256, 256, 256, 512, 512]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    dense = 512 * 4 * 4 * 2560 + 2 * 2560
    minibatch = 2560 * 300 * 50
    assert count(judge) == convolutions + dense + minibatch + (2560 + 600) * 1001 + 1001
    maps, noise = [512, 256, 128, 64, 64, 64], [64, 64, 32, 16, 8, 8]
    inputs = [a + b for a, b in zip(maps, noise, strict=True)]
    doublings = sum(25 * a * b for a, b in zip(inputs, maps[1:], strict=False))
    expected = 8192 * 4 * 4 * 512 + 2 * sum(maps) + doublings + 25 * inputs[-1] * 3 + 3
    assert count(maker) == expected
    noise_size = sum(number * (4 * 2**level) ** 2 for level, number in enumerate(noise))
    assert maker.latent_size == 8192 + noise_size


def test_settings_of_the_paper() -> None:
    recipe = PRESETS["imagenet"]
    assert (recipe.data.source, recipe.data.size_px, recipe.labels) == ("imagenet", 128, None)
    assert recipe.batch_size == recipe.networks.reference_size == 16  # type: ignore[union-attr]
    assert (recipe.optimizer.learning_rate, recipe.optimizer.beta1) == (4e-4, 0.5)
    objective = recipe.objective
    assert objective.real_or_generated.positive_target == 0.75
    terms = [name for name, settings in objective.terms().items() if settings.weight > 0]
    assert terms == ["supervised", "real_or_generated", "target"]
    assert objective.target.probability == objective.real_or_generated.positive_target / 2


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 32), (3, 32, 96)])
@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        AUTHORS,
        replace(SMALL, minibatch_kernels=0),
        replace(AUTHORS, minibatch_kernels=0),
        replace(SMALL, noise_maps=(1, 0, 0, 2, 0, 0)),
    ],
)
def test_sizes_that_are_multiples_of_32(
    settings: ImageNetSettings, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    judge, maker = build_discriminator(settings, shape, 4), build_generator(settings, shape)
    images = maker(maker.latent(5, "cpu"))
    assert images.shape == (5, *shape)
    assert maker.pixel_range == judge.pixel_range == (-1.0, 1.0)
    assert images.abs().max() <= 1
    for mode in (True, False):
        output = judge.train(mode)(images)
        assert output.logits.shape == (5, 4)
        assert output.features.shape == (5, 8)


@pytest.mark.parametrize("build", [lambda *a: build_discriminator(*a, 2), build_generator])
def test_other_sizes(build: Any) -> None:
    with pytest.raises(UserError, match=r"multiples of 32 px, got 28x64; --data.size-px resizes"):
        build(SMALL, (3, 28, 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "networks.width: expected 1 to 65,536, got 0"),
        ({"dense_multiple": 0}, "networks.dense-multiple: expected 1 to 10,000"),
        ({"noise_maps": (1, 2)}, r"networks.noise-maps: expected 6 values, each 0 to 4096"),
        ({"reference_size": 1}, "networks.reference-size: expected 2 to"),
        ({"minibatch_kernels": -1}, "networks.minibatch-kernels: expected 0 to"),
        ({"input_noise": -0.1}, "networks.input-noise: expected 0 to 1000"),
        (
            {"normalization": "cross", "width": 3},
            "networks.width: expected an even number where networks.normalization is cross, got 3",
        ),
        ({"padding": "same"}, "networks.padding: expected one of centred, tensorflow, got 'same'"),
    ],
)
def test_impossible_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(SMALL, **change)


def test_logits_are_those_of_a_softmax_with_one_class_more() -> None:
    network = discriminator().eval()
    outputs: list[Tensor] = []
    network.output.register_forward_hook(lambda _, __, output: outputs.append(output))
    logits = network(images_of(5)).logits
    probabilities = torch.softmax(outputs[0], dim=1)
    assert probabilities.shape == (5, 5)
    padded = torch.cat([logits, torch.zeros(5, 1)], dim=1)
    torch.testing.assert_close(torch.softmax(padded, dim=1), probabilities)
    torch.testing.assert_close(
        torch.sigmoid(real_probability_logit(logits)), 1 - probabilities[:, -1]
    )


def test_all_groups_but_the_last_are_the_real_half() -> None:
    images = images_of(12)
    expected = similarities(discriminator(), images, [8, 4])
    torch.testing.assert_close(similarities(discriminator(), images, [4, 4, 4]), expected)
    assert not torch.allclose(similarities(discriminator(), images, [4, 8]), expected)


def test_a_collapsed_generator_gives_itself_away() -> None:
    images = torch.cat([images_of(6), images_of(1, seed=2).expand(6, -1, -1, -1)])
    similarity = similarities(discriminator(), images, [6, 6])
    torch.testing.assert_close(similarity[6:, 1], torch.ones(6, 3), atol=1e-4, rtol=0)
    assert similarity[6:, 0].mean() < 0.9 and similarity[:6, 1].mean() < 0.9


def test_generated_images_are_judged_by_the_real_ones_beside_them() -> None:
    network = discriminator()
    generated = images_of(4).requires_grad_()
    halves = [images_of(4, seed=seed) for seed in (2, 3)]
    first, second = (network(torch.cat([real, generated]), [4, 4]).logits[4:] for real in halves)
    assert not torch.allclose(first, second)
    (slope,) = torch.autograd.grad(first.sum(), generated)
    assert slope.abs().max() > 0


def test_one_group_is_cut_in_the_middle() -> None:
    images = images_of(7)
    expected = similarities(discriminator(), images, [4, 3])
    torch.testing.assert_close(similarities(discriminator(), images, [7]), expected)


@pytest.mark.parametrize("settings", [SMALL, AUTHORS])
def test_in_evaluation_images_do_not_depend_on_each_other(settings: ImageNetSettings) -> None:
    network = discriminator(settings)
    for seed in range(20):
        network(images_of(12, seed), [4, 4, 4])
    network.eval()
    images = images_of(6, seed=30)
    logits = network(images).logits
    for row in range(6):
        torch.testing.assert_close(network(images[row : row + 1]).logits, logits[row : row + 1])
    torch.testing.assert_close(network(images, [3, 3]).logits, logits)


def test_features_depend_on_the_mix_of_a_joint_normalization_alone() -> None:
    real, generated = images_of(8), 0.3 * images_of(4, seed=2)

    def change(settings: ImageNetSettings) -> float:
        """Relative change of the generated images' features if the real images come twice."""
        single, double = (
            discriminator(settings)(
                torch.cat([*half, generated]), [len(half) * 8, 4]
            ).features.detach()
            for half in ([real], [real, real])
        )
        return float((single[8:] - double[16:]).norm() / single[8:].norm())

    assert change(AUTHORS) < 1e-5
    assert change(SMALL) > 0.05


def test_features_of_either_half_depend_on_both() -> None:
    network = discriminator(AUTHORS)
    first = network(images_of(8), [4, 4]).features
    changed = images_of(8)
    changed[4:] *= 0.5
    assert not torch.allclose(network(changed, [4, 4]).features[:4], first[:4])


def test_initial_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    settings = replace(AUTHORS, width=16)
    judge = ImageNetDiscriminator(settings, SHAPE, 4)
    convolutions = [layer for layer in judge.layers if isinstance(layer, torch.nn.Conv2d)]
    weights = torch.cat([layer.weight.flatten() for layer in convolutions])
    assert weights.abs().max() <= 0.04
    # A normal distribution of deviation 0.02, truncated at two deviations.
    assert weights.std().item() == pytest.approx(0.02 * 0.8796, rel=0.02)
    assert judge.minibatch is not None
    gains = [layer.weight for layer in judge.layers if isinstance(layer, CrossBatchNorm)]
    maker = ImageNetGenerator(settings, SHAPE)
    gains += [
        layer.weight
        for layer in maker.modules()
        if isinstance(layer, VirtualBatchNorm2d)
        if layer.weight is not None
    ]
    assert torch.cat(gains).std().item() == pytest.approx(0.02, rel=0.2)
    assert torch.cat(gains).mean().item() == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(
    ("rows", "groups", "sizes"), [(3, None, "2 and 1"), (5, [2, 2, 1], "4 and 1")]
)
def test_halves_too_small_to_compare_with(rows: int, groups: list[int] | None, sizes: str) -> None:
    with pytest.raises(
        UserError, match=rf"halves of at least 2 images each.*got {sizes}.*batch-size"
    ):
        discriminator()(images_of(rows), groups)


def test_latent_is_uniform_from_minus_one_to_one() -> None:
    latent = build_generator(SMALL, SHAPE).latent(200, "cpu", torch.Generator().manual_seed(0))
    assert latent.min() >= -1 and latent.max() < 1
    assert latent.mean().abs() < 0.01
    assert latent.std().item() == pytest.approx(3**-0.5, rel=0.01)


def test_noise_of_every_size_reaches_the_image() -> None:
    torch.manual_seed(0)
    maker = ImageNetGenerator(SMALL, SHAPE)
    latent = maker.latent(2, "cpu")
    images = maker(latent)
    sizes = [6, 2, 8, 16, 64, 256, 1024]
    assert sum(sizes) == maker.latent_size
    for part in range(len(sizes)):
        first = sum(sizes[:part])
        changed = latent.clone()
        changed[:, first : first + sizes[part]] *= -1
        assert not torch.allclose(maker(changed), images, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_samples_do_not_depend_on_their_batch_mates(training: bool) -> None:
    torch.manual_seed(0)
    maker = build_generator(SMALL, SHAPE).train(training)
    latent = maker.latent(7, "cpu")
    images = maker(latent)
    torch.testing.assert_close(maker(latent[2:5]), images[2:5])
    torch.testing.assert_close(maker(latent.flip(0)), images.flip(0))
    torch.testing.assert_close(maker.train(not training)(latent), images)


def test_the_reference_is_restored_with_the_weights() -> None:
    torch.manual_seed(0)
    first, second = (ImageNetGenerator(SMALL, SHAPE) for _ in range(2))
    reference = first.state_dict()["images.reference"]
    assert reference.shape == (4, first.latent_size)
    latent = first.latent(3, "cpu")
    weights = {name: value for name, value in first.state_dict().items() if "reference" not in name}
    second.load_state_dict(weights, strict=False)
    assert not torch.allclose(second(latent), first(latent))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(latent), first(latent))
    # Drawn once, and not trained.
    assert "images.reference" not in dict(first.named_parameters())


@pytest.fixture(scope="module")
def three_classes() -> DataSet:
    """Coloured noise: the class is the channel that is bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(36) % 3
    images = rng.integers(0, 100, (36, 32, 32, 3), dtype=np.uint8)
    images[np.arange(36), :, :, labels] += 120
    return data_set_from_arrays(images[:24], labels[:24], images[24:], labels[24:])


@pytest.fixture(params=["imagenet", "former"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """The recipe, and the one of earlier versions, with small networks."""
    recipes = {"imagenet": (PRESETS["imagenet"], AUTHORS), "former": (FORMER["imagenet"], SMALL)}
    recipe, networks = recipes[request.param]
    return replace(recipe, epochs=2, batch_size=6, networks=networks, data=DataSettings())


def test_training_saving_sampling(
    tmp_path: Path, recipe: Recipe, three_classes: DataSet, quiet: Console
) -> None:
    out = tmp_path / "run"
    results = train(recipe, out, data=three_classes, console=quiet)
    assert results.test_size == 12
    assert (out / "report.html").exists()
    sample(out, 3, out=tmp_path / "samples")
    assert len(list((tmp_path / "samples").glob("*.png"))) == 3
    maker = load_generator(out)
    assert torch.equal(fixed_samples(maker, 2, 0), fixed_samples(load_generator(out), 2, 0))
    alone = predict(out, tmp_path / "samples" / "000000.png").probabilities
    in_folder = predict(out, tmp_path / "samples").probabilities
    np.testing.assert_allclose(alone[0], in_folder[0], atol=1e-5)


def test_resuming_equals_not_stopping(
    tmp_path: Path, recipe: Recipe, three_classes: DataSet
) -> None:
    split = draw_split(three_classes, labels=None, seed=0)

    def run(folder: Path, stop_requested: Any = lambda: False) -> dict[str, Any]:
        options = LoopOptions(checkpoint_every_seconds=1e6, stop_requested=stop_requested)
        device = choose_device(recipe.hardware)
        fit(device, recipe, split.training, checkpoints=folder, observer=Silent(), options=options)
        restored = load_newest_checkpoint(folder)
        assert restored is not None
        return {name: part for name, part in restored[1].items() if name != "train_seconds"}

    calls = iter(range(100))
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", lambda: next(calls) >= 2)
    assert equal_states(run(tmp_path / "stopped"), run(tmp_path / "whole"))


@pytest.mark.parametrize(
    "term",
    [TargetSettings(weight=1.0), FeatureMatchingSettings(weight=1.0)],
    ids=lambda term: term.term_name,
)
def test_generated_images_are_never_shown_alone(
    tmp_path: Path,
    recipe: Recipe,
    three_classes: DataSet,
    monkeypatch: pytest.MonkeyPatch,
    term: TermSettings,
) -> None:
    passes: list[tuple[int, ...]] = []
    forward = ImageNetDiscriminator.forward

    def spied(
        self: Discriminator, images: Tensor, group_sizes: Sequence[int] | None = None
    ) -> DiscriminatorOutput:
        if self.training and group_sizes is not None:
            passes.append(tuple(group_sizes))
        elif self.training:
            passes.append((len(images),))
        return forward(self, images, group_sizes)

    monkeypatch.setattr(ImageNetDiscriminator, "forward", spied)
    recipe = replace(recipe, epochs=1, objective=with_generator_term(recipe.objective, term))
    split = draw_split(three_classes, labels=None, seed=0)
    fit(
        choose_device(recipe.hardware),
        recipe,
        split.training,
        checkpoints=tmp_path,
        observer=Silent(),
        options=LoopOptions(),
    )
    if recipe.objective.is_simultaneous:
        # One pass of both players, whose real images are labelled; and the baseline's.
        assert passes == 4 * [(6, 6), (6,)]
    else:
        # The initialization of discriminator and baseline; then, a step: the discriminator's, the
        # generator's, and the baseline's, which knows real images alone.
        assert passes == [(24,), (24,), *4 * [(6, 6, 6), (6, 6), (6,)]]
