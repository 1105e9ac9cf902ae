"""Minibatch discrimination in a classifier: what is said of an image does not depend on the others."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

from convergan.data.image_stream import stream_of_array
from convergan.data.source import open_data_set
from convergan.data.splits import draw_split
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.inference.predict_csv import predict_to_csv
from convergan.inference.sample import sample
from convergan.networks.build import NetworkSettings, build_discriminator
from convergan.networks.classification import classified
from convergan.networks.grouped_batch_norm import groups_of_batch
from convergan.networks.minibatch_similarity import ComparingDiscriminator
from convergan.recipes.networks import ConvSettings, ImageNetSettings, MLPSettings
from convergan.recipes.settings import Recipe
from convergan.recipes.terms import NonSaturatingSettings
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.model import load_classifier
from convergan.scoring.embedding import embed
from convergan.scoring.networks import run_embedding
from convergan.techniques.weight_norm import initialize_from_data
from convergan.training.batch import GROUPS, Batch
from convergan.training.checkpointing import Interrupted, LoopOptions
from convergan.training.launch import choose_device
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.run import train
from support import equal_states, with_generator_term

SHAPE = (3, 32, 32)
KINDS: dict[str, NetworkSettings] = {
    "mlp": MLPSettings(hidden=(30, 20), minibatch_kernels=6),
    "conv": ConvSettings(width=4, minibatch_kernels=6),
    "imagenet": ImageNetSettings(
        width=2, dense_multiple=4, minibatch_kernels=6, minibatch_kernel_size=3
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def images_of(rows: int, seed: int) -> Tensor:
    return torch.rand(rows, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def network_of(kind: str, passes: int = 20) -> ComparingDiscriminator:
    """A network after `passes` batches of three groups."""
    torch.manual_seed(0)
    network = build_discriminator(KINDS[kind], SHAPE, 4)
    assert isinstance(network, ComparingDiscriminator)
    initialize_from_data(network, images_of(24, seed=100))
    for number in range(passes):
        train_pass(network, images_of(18, seed=number), [6, 6, 6], running=1)
    return network


@torch.no_grad()
def train_pass(
    network: ComparingDiscriminator, images: Tensor, sizes: list[int], running: int
) -> None:
    with groups_of_batch(network, sizes, [running]):
        network(images, sizes)


@every_kind
def test_an_image_is_judged_alike_alone_in_company_and_in_another_order(kind: str) -> None:
    # The running statistics of batch normalization take long to leave where they start.
    network, images = (
        network_of(kind, passes=200 if kind == "imagenet" else 20),
        images_of(40, seed=50),
    )
    logits = classified(network, images).logits
    assert logits.std(dim=0).min() > 1e-4
    alone = torch.cat([classified(network, image).logits for image in images.split(1)])
    torch.testing.assert_close(alone, logits, rtol=1e-5, atol=1e-5)
    order = torch.randperm(40)
    torch.testing.assert_close(
        classified(network, images[order]).logits, logits[order], rtol=1e-5, atol=1e-5
    )
    copies = images[:1].expand(40, -1, -1, -1)
    torch.testing.assert_close(
        classified(network, copies).logits, logits[:1].expand(40, -1), rtol=1e-5, atol=1e-5
    )
    assert network.training


@every_kind
def test_in_evaluation_logits_rest_on_what_an_image_is_close_to(kind: str) -> None:
    network = network_of(kind, passes=200 if kind == "imagenet" else 20)
    assert network.minibatch is not None
    with torch.no_grad():
        network.output.weight[:, : network.minibatch.in_features] = 0
    assert classified(network, images_of(20, seed=50)).logits.std(dim=0).min() > 1e-5


@every_kind
def test_references_are_the_last_real_images(kind: str) -> None:
    network = network_of(kind, passes=0)
    assert network.reference is not None and network.reference_group_sizes is not None
    size, batches = network.references, [images_of(18, seed=seed) for seed in range(3)]
    real = [batch[:12] if kind == "imagenet" else batch[6:12] for batch in batches]
    # A first batch that is too small is repeated.
    train_pass(network, batches[0], [6, 6, 6], running=1)
    repeated = torch.cat(size * [real[0]])[-size:]
    assert torch.equal(network.reference[:size], repeated)
    for batch in batches[1:]:
        train_pass(network, batch, [6, 6, 6], running=1)
    expected = torch.cat([repeated, *real[1:]])[-size:]
    assert torch.equal(network.reference[:size], expected)
    assert network.reference_group_sizes.tolist() == ([12, 6] if kind == "imagenet" else [6])
    if kind == "imagenet":
        assert torch.equal(network.reference[-6:], batches[2][12:])
    # Neither groups of a pass that moves no statistics nor images of an evaluation count.
    network(images_of(18, seed=5), [6, 6, 6])
    with groups_of_batch(network, [18], running=()):
        network(images_of(18, seed=6))
    classified(network, images_of(18, seed=7))
    assert torch.equal(network.reference[:size], expected)
    # The baseline has a single group.
    train_pass(network, batches[0], [18], running=0)
    last = batches[0][:9] if kind == "imagenet" else batches[0]
    assert torch.equal(network.reference[:size][-len(last) :], last[-size:])


def test_strong_views_are_no_references() -> None:
    network, images = network_of("conv", passes=0), images_of(24, seed=0)
    batch = Batch(dict(zip(GROUPS, images.split(6), strict=True)))
    place = [*batch.groups].index(batch.running)
    train_pass(network, batch.images, batch.sizes, running=place)
    assert network.reference is not None and torch.equal(network.reference[-6:], images[6:12])
    # A step without images of the group leaves the references.
    train_pass(network, images[:6], [0, 6], running=0)
    assert torch.equal(network.reference[-6:], images[6:12])


@every_kind
def test_frozen_references_hold_until_weights_change(kind: str) -> None:
    network, images = network_of(kind).eval(), images_of(3, seed=60)
    logits = classified(network, images).logits
    network.freeze_references()
    assert network.reference is not None
    references = network.reference.clone()
    with torch.no_grad():
        network.reference.zero_()
    torch.testing.assert_close(classified(network, images).logits, logits)
    network.load_state_dict({**network.state_dict(), "reference": references.flip(3)})
    assert not torch.equal(classified(network, images).logits, logits)
    network.freeze_references()
    assert network.train().reference_features is None


@every_kind
def test_a_network_takes_the_memory_format_of_gpus(kind: str) -> None:
    network = network_of(kind, passes=1).to(memory_format=torch.channels_last)
    train_pass(network, images_of(18, seed=1), [6, 6, 6], running=1)
    assert classified(network, images_of(2, seed=2)).logits.isfinite().all()


def test_large_images_have_fewer_references() -> None:
    settings = replace(KINDS["conv"], minibatch_kernels=2)
    for side, expected in ((32, 100), (64, 64), (256, 16)):
        network = build_discriminator(settings, (3, side, side), 4)
        assert isinstance(network, ComparingDiscriminator) and network.reference is not None
        assert len(network.reference) == expected


def test_reference_noise_makes_similarities_what_they_are_in_training() -> None:
    torch.manual_seed(0)
    network = build_discriminator(replace(KINDS["mlp"], hidden_noise=1.0), SHAPE, 4)
    assert isinstance(network, ComparingDiscriminator) and network.minibatch is not None
    similarities: list[Tensor] = []

    def record(_: object, inputs: tuple[Tensor, ...], __: object) -> None:
        similarities.append(inputs[0][:, network.minibatch.in_features :].mean())

    network.output.register_forward_hook(record)
    # Noise of the hidden layers would differ too.
    for layer in network.hidden:
        layer.noise.stdev = 0.0
    for seed in range(10):
        train_pass(network, images_of(100, seed), [100], running=0)
    classified(network, images_of(100, seed=20))
    assert float(similarities[-1]) == pytest.approx(float(sum(similarities[:-1])) / 10, rel=0.25)


@every_kind
def test_weights_without_references_are_refused(kind: str) -> None:
    network = network_of(kind)
    state = network.state_dict()
    restored = build_discriminator(KINDS[kind], SHAPE, 4)
    restored.load_state_dict(state)
    images = images_of(3, seed=60)
    torch.testing.assert_close(classified(restored, images), classified(network, images))
    del state["reference"]
    with pytest.raises(UserError, match=r"expected the reference images .*, got .* older"):
        restored.load_state_dict({**state, "running_closeness": torch.zeros(6)})


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_networks_without_kernels_have_the_weights_that_they_had(kind: str) -> None:
    network = build_discriminator(replace(KINDS[kind], minibatch_kernels=0), SHAPE, 4)
    assert not [name for name in network.state_dict() if "reference" in name]


@pytest.fixture(scope="module")
def comparing_recipe(quick_recipe: Recipe) -> Recipe:
    assert isinstance(quick_recipe.networks, MLPSettings)
    networks = replace(quick_recipe.networks, minibatch_kernels=8)
    objective = with_generator_term(quick_recipe.objective, NonSaturatingSettings(weight=1.0))
    return replace(quick_recipe, epochs=2, networks=networks, objective=objective)


@pytest.fixture(scope="module")
def comparing_run(
    tmp_path_factory: pytest.TempPathFactory, comparing_recipe: Recipe, quiet: Console
) -> Path:
    out = tmp_path_factory.mktemp("runs") / "comparing"
    train(comparing_recipe, out, console=quiet)
    return out


def test_test_errors_are_those_of_predict_and_of_score(
    comparing_run: Path, comparing_recipe: Recipe, tmp_path: Path
) -> None:
    data = open_data_set(comparing_recipe.data)
    assert data.test is not None
    folder = tmp_path / "digits"
    folder.mkdir()
    # Another order than the test set's.
    for number, image in enumerate(data.test.images):
        Image.fromarray(image[:, :, 0]).save(folder / f"{number * 7919 % 1000:04d}-{number}.png")
    predict_to_csv(comparing_run, folder, tmp_path / "out.csv")
    labels = np.zeros(len(data.test.images), dtype=np.int64)
    for row in csv.DictReader((tmp_path / "out.csv").open()):
        number = int(Path(row["path"]).stem.split("-")[1])
        labels[number] = data.classes.index(row["label"])
    errors = json.loads((comparing_run / "results.json").read_text())["test_errors"]
    assert int((labels != data.test.labels).sum()) == errors
    embedding = embed(run_embedding(comparing_run), stream_of_array("digits", data.test.images))
    assert np.array_equal(np.asarray(embedding.images.logits).argmax(axis=1), labels)
    (alone,) = predict(comparing_run, sorted(folder.iterdir())[3]).probabilities
    in_folder = predict(comparing_run, folder).probabilities[3]
    np.testing.assert_allclose(alone, in_folder, atol=1e-6)


def plain_weights(run: Path, name: str) -> None:
    """Leaves nothing but the weights in a file of a model, as convergan 0.1.0 wrote it."""
    path = run / "model" / f"{name}.safetensors"
    save_file(load_file(path), path)


def test_a_run_of_before_is_refused_in_one_line_but_its_generator_works(
    comparing_run: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(comparing_run, old)
    weights = load_file(old / "model" / "classifier.safetensors")
    for name in ("reference", "reference_group_sizes", "reference_batches"):
        del weights[name]
    save_file(weights, old / "model" / "classifier.safetensors")
    config = json.loads((old / "model" / "config.json").read_text())
    (old / "model" / "config.json").write_text(json.dumps({**config, "group_size": 100}))
    plain_weights(old, "generator")
    with pytest.raises(
        UserError, match=r"classifier\.safetensors: expected the reference images"
    ) as caught:
        load_classifier(old)
    assert "\n" not in str(caught.value)
    sample(old, 2, out=tmp_path / "samples")
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_settings_of_before_are_still_read(trained_run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(trained_run, old)
    config = json.loads((old / "model" / "config.json").read_text())
    assert "group_size" not in config
    (old / "model" / "config.json").write_text(json.dumps({**config, "group_size": 100}))
    plain_weights(old, "classifier")
    load_classifier(old)


def test_averaged_weights_have_the_same_references_which_are_resumed_exactly(
    comparing_recipe: Recipe, tmp_path: Path
) -> None:
    data = open_data_set(comparing_recipe.data)
    split = draw_split(data, labels=100, seed=0)

    def run(folder: Path, stop_requested: Any = lambda: False) -> dict[str, Any]:
        options = LoopOptions(checkpoint_every_seconds=1e6, stop_requested=stop_requested)
        device = choose_device(comparing_recipe.hardware)
        recipe, training = comparing_recipe, split.training
        fit(device, recipe, training, checkpoints=folder, observer=Silent(), options=options)
        restored = load_newest_checkpoint(folder)
        assert restored is not None
        return {name: part for name, part in restored[1].items() if name != "train_seconds"}

    uninterrupted = run(tmp_path / "whole")
    for player in ("discriminator", "baseline"):
        now = uninterrupted[player]["network"]["reference"]
        average = uninterrupted[player]["average"]["module.reference"]
        assert torch.equal(average, now) and now.std() > 0.1
        assert uninterrupted[player]["network"]["reference_batches"] == uninterrupted["step"]
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", lambda: next(calls) >= 7)
    assert equal_states(run(tmp_path / "stopped"), uninterrupted)
