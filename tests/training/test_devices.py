"""Requirements of every device: batches, random streams, training that goes on where it was, and its end.

`-m cuda` selects what needs a GPU; `benchmarks/on_gpu.py` runs this file so, by itself.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.networks.build import build_discriminator
from convergan.networks.precision import without_tf32
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import HardwareSettings, Recipe
from convergan.runs.metrics import read_metrics
from convergan.runs.model import load_classifier
from convergan.training.checkpointing import LoopOptions
from convergan.training.computation import begin_step, compiled, resolved_precision
from convergan.training.launch import choose_device
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.preparation import prepare
from convergan.training.randomness import RandomStream
from convergan.training.run import train

GPU = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
on_a_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=GPU)])

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)


@on_every_device
@pytest.mark.parametrize("resident_bytes", [0, IMAGES.nbytes])
def test_batches_arrive(device: str, resident_bytes: int) -> None:
    batch = DeviceImages(IMAGES, device, resident_bytes=resident_bytes).gather(np.array([5, 2]))
    assert batch.device.type == device
    assert np.array_equal(batch.cpu().numpy(), IMAGES[[5, 2]])


@on_every_device
def test_a_stream_draws_on_its_device_what_its_state_says(device: str) -> None:
    def global_rng_states() -> list[Tensor]:
        on_gpu = [torch.cuda.get_rng_state()] if device == "cuda" else []
        return [torch.get_rng_state(), *on_gpu]

    stream, outside_states = RandomStream(torch.device(device), 3), global_rng_states()
    with stream():
        torch.rand(5, device=device)
    state = stream.state_dict()
    with stream():
        expected = torch.rand(5, device=device)
    resumed_stream = RandomStream(torch.device(device), 4)
    resumed_stream.load_state_dict(state)
    with resumed_stream():
        assert torch.equal(torch.rand(5, device=device), expected)
    assert all(map(torch.equal, global_rng_states(), outside_states))


def colours() -> DataSet:
    """A hundred small random images in five classes, and as many to test on."""
    images = np.random.default_rng(1).integers(256, size=(2, 100, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(100) % 5
    return data_set_from_arrays(images[0], labels, images[1], labels)


def recipe_of(kind: str, device: Any, *, noisy: bool = True, compile: bool = False) -> Recipe:
    """A recipe with small networks, for `colours`."""
    recipe = PRESETS[kind]
    small = {
        "mnist": {"hidden": (30, 20), "generator_hidden": (20,), "latent_size": 10},
        "cifar10": {"width": 4, "generator_width": 16, "latent_size": 10},
    }[kind]
    noises = [name for name in vars(recipe.networks) if name.endswith(("_noise", "_dropout"))]
    networks: Any = replace(
        recipe.networks, **small, **({} if noisy else dict.fromkeys(noises, 0.0))
    )
    return replace(
        recipe,
        networks=networks,
        labels=20,
        batch_size=25,
        epochs=2,
        hardware=HardwareSettings(accelerator=device, compile=compile),
    )


class Stop(Exception):
    """Ends a training in its midst."""


class StopAfter(Silent):
    """Ends a training after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def steps_done(self, done: int, total: int) -> None:
        if done == self.steps:
            raise Stop


def weights_after(
    recipe: Recipe, checkpoints: Path | None = None, stopped_after: int | None = None
) -> Tensor:
    """The discriminator's EMA weights, flat; with a stop it is resumed from its checkpoints."""
    device = choose_device(recipe.hardware)
    training = prepare(recipe, colours(), processes=1).split.training
    options = LoopOptions(checkpoint_every_seconds=0)
    if stopped_after is not None:
        with pytest.raises(Stop):
            observer = StopAfter(stopped_after)
            fit(
                device,
                recipe,
                training,
                checkpoints=checkpoints,
                observer=observer,
                options=options,
            )
    fitted = fit(device, recipe, training, checkpoints=checkpoints, options=options)
    weights = [weight.detach().flatten() for weight in fitted.discriminator.parameters()]
    return torch.cat(weights).cpu()


def share_of_change(recipe: Recipe, first: Tensor, second: Tensor) -> float:
    """|first - second| as a share of what training has changed."""
    begun = weights_after(replace(recipe, epochs=1, steps=1))
    return float((first - second).norm() / (first - begun).norm())


@on_every_device
@pytest.mark.parametrize("kind", ["mnist", "cifar10"])
def test_a_training_goes_on_where_it_was(device: str, kind: str, tmp_path: Path) -> None:
    recipe = recipe_of(kind, device)
    straight = weights_after(recipe)
    resumed = weights_after(recipe, tmp_path, stopped_after=6)
    if device == "cpu":
        assert torch.equal(straight, resumed)
        return
    # The sums of a GPU's convolutions come in any order; other random numbers would change as much as
    # training does.
    assert share_of_change(recipe, straight, resumed) < 0.05
    noisier = replace(recipe.networks, **{"latent_size": 11})
    different_weights = weights_after(replace(recipe, networks=noisier))
    assert share_of_change(recipe, straight, different_weights) > 0.2


@on_every_device
def test_a_run_comes_to_its_end(device: str, tmp_path: Path) -> None:
    recipe = replace(recipe_of("cifar10", device), baseline=True)
    results = train(recipe, tmp_path / "run", data=colours(), console=Console(quiet=True))
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 2
    # What was saved says the same on the CPU, but for what rounding decides.
    test = colours().test
    assert test is not None and results.test_errors is not None
    images = torch.from_numpy(test.images).permute(0, 3, 1, 2)
    predicted = load_classifier(tmp_path / "run")(images).logits.argmax(dim=1).numpy()
    assert abs(int((predicted != test.labels).sum()) - results.test_errors) <= 1


@on_a_gpu
@pytest.mark.parametrize("kind", ["mnist", "cifar10"])
def test_steps_do_not_wait_for_a_gpu(device: str, kind: str) -> None:
    class Watch(Silent):
        def steps_done(self, done: int, total: int) -> None:
            # What the first steps make, and what the ends of epochs look at, may be waited for.
            torch.cuda.set_sync_debug_mode("error" if 3 <= done % 20 <= 17 else "default")

    recipe = replace(recipe_of(kind, device), min_steps_per_epoch=20)
    training = prepare(recipe, colours(), processes=1).split.training
    try:
        fit(choose_device(recipe.hardware), recipe, training, observer=Watch())
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_a_gpu
@pytest.mark.parametrize("kind", ["mnist", "cifar10"])
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 0.05), ("bf16", 0.6)])
def test_compiled_training_is_training(
    device: str, kind: str, precision: Any, limit: float
) -> None:
    """Train without noise, whose numbers the compiler draws in its own way. On a CPU, bf16 in place of fp32
    changes a quarter as much as so few steps do."""
    recipe = recipe_of(kind, device, noisy=False)
    hardware = replace(recipe.hardware, precision=precision)
    plain = weights_after(replace(recipe, hardware=hardware))
    counters = torch._dynamo.utils.counters
    counters.clear()
    weights = weights_after(replace(recipe, hardware=replace(hardware, compile=True)))
    assert counters["inductor"]["cudagraph_skips"] == 0
    assert not counters["graph_break"]
    assert share_of_change(replace(recipe, hardware=hardware), plain, weights) < limit


@on_a_gpu
def test_compiled_training_goes_on_where_it_was(device: str, tmp_path: Path) -> None:
    recipe = recipe_of("mnist", device, compile=True)
    resumed = weights_after(recipe, tmp_path, stopped_after=6)
    assert share_of_change(recipe, weights_after(recipe), resumed) < 0.05


@on_a_gpu
def test_graphs_draw_new_noise_at_each_replay(device: str) -> None:
    hardware = HardwareSettings(compile=True)
    settings = MLPSettings(hidden=(30, 20), input_noise=0.5, hidden_noise=0.5)
    network = build_discriminator(settings, (3, 12, 12), 5).to(device)
    run, images = compiled(network, hardware, torch.device(device)), torch.rand(50, 3, 12, 12)
    outputs = []
    for _ in range(6):
        begin_step(hardware, torch.device(device))
        outputs.append(run(images.to(device)).logits.detach().clone())
    changes = [float((earlier - later).std()) for earlier, later in pairwise(outputs)]
    assert min(changes) > 0.1 * float(outputs[0].std())


@on_a_gpu
def test_fp32_is_fp32_and_bf16_is_chosen_where_there_are_units(device: str) -> None:
    torch.manual_seed(0)
    left, right = torch.randn(2, 256, 256, dtype=torch.float64)
    with without_tf32():
        product = left.float().to(device) @ right.float().to(device)
    assert float((product.cpu() - left @ right).norm() / (left @ right).norm()) < 1e-5
    units = torch.cuda.get_device_capability() >= (8, 0)
    expected = "bf16-mixed" if units else "32-true"
    assert resolved_precision(HardwareSettings(), torch.device(device)) == expected
