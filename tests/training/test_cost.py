"""The cost that is announced for a training, compared with what it really takes."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from convergan.data.image_set import data_set_from_arrays
from convergan.errors import UserError
from convergan.networks.build import build_discriminator, build_generator
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.arms import arm_recipe
from convergan.recipes.networks import ConvSettings, FrozenSettings, MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.training import cost, memory
from convergan.training.cost import classifying_bytes, training_cost
from convergan.training.memory import memory_limit, require_memory
from convergan.training.preparation import prepare
from convergan.training.run import RunOptions, train
from support import FORMER_FOLDER

CPU = torch.device("cpu")

MEASURE = """
import sys, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np
from convergan.data.image_set import data_set_from_arrays
from convergan.recipes.presets import PRESETS
from convergan.training.checkpointing import LoopOptions
from convergan.training.launch import launched
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.preparation import prepare

name, side_px = sys.argv[1], int(sys.argv[2])
recipe = PRESETS[name]
hardware = replace(recipe.hardware, precision="32-true", threads=1)
recipe = replace(recipe, labels=None, epochs=1, min_steps_per_epoch=3, hardware=hardware)
channels = 1 if name == "mnist" else 3
images = np.random.default_rng(0).integers(0, 256, (60, side_px, side_px, channels), dtype=np.uint8)
labels = np.arange(60) % 10
preparation = prepare(recipe, data_set_from_arrays(images, labels, images, labels), processes=1)

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024

with launched(recipe.hardware) as device:
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    fit(device, preparation.recipe, preparation.split.training, checkpoints=None, observer=Silent(),
        options=LoopOptions())
print("costs", preparation.cost.memory_bytes, status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(("name", "side_px"), [("mnist", 28), ("folder", 64)])
def test_memory_is_estimated_within_a_factor_of_two(name: str, side_px: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, str(side_px)],
        capture_output=True,
        text=True,
        check=True,
    )
    (numbers,) = re.findall(r"costs (\d+) (\d+)", done.stdout)
    estimated, measured = map(int, numbers)
    assert measured / 2 < estimated < 2 * measured


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("digits", (1, 8, 8)), ("mnist", (1, 28, 28)), ("mnist-mb", (1, 28, 28)),
        ("cifar10", (3, 32, 32)), ("folder", (3, 33, 65)), ("imagenet", (3, 128, 128)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bf16", [False, True])
def test_every_recipe_has_a_cost(name: str, shape: tuple[int, int, int], bf16: bool) -> None:
    recipe = PRESETS[name]
    cost = training_cost(recipe, shape, 10, bf16=bf16)
    with torch.device("meta"):
        networks = [build_discriminator(recipe.networks, shape, 10)] * 2
        networks.append(build_generator(recipe.networks, shape))  # type: ignore[arg-type]
    weights = sum(weight.nbytes for network in networks for weight in network.parameters())
    assert cost.memory_bytes > 4 * weights
    # At least two additions or multiplications for each weight and image, forward and backward.
    assert cost.step_operations > 3 * recipe.batch_size * cost.test_operations > 0


def test_cost_grows_with_batch_and_pixels() -> None:
    recipe = FORMER_FOLDER
    small = training_cost(recipe, (3, 64, 64), 2, bf16=False)
    four_times = training_cost(recipe, (3, 128, 128), 2, bf16=False)
    twice = training_cost(replace(recipe, batch_size=64), (3, 64, 64), 2, bf16=False)
    assert 3.8 < four_times.step_operations / small.step_operations < 4.4
    assert 1.9 < twice.step_operations / small.step_operations < 2.1
    assert 2 < four_times.memory_bytes / small.memory_bytes < 4
    halved = training_cost(replace(recipe, batch_size=64), (3, 64, 64), 2, bf16=False, processes=2)
    assert halved == small
    # bf16 keeps half as much.
    assert training_cost(recipe, (3, 64, 64), 2, bf16=True).memory_bytes < small.memory_bytes


def test_photographs_cost_what_no_machine_has_and_saying_so_costs_little() -> None:
    photographs = training_cost(FORMER_FOLDER, (3, 3000, 4000), 2, bf16=False)
    assert 200e9 < photographs.memory_bytes < 800e9


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_the_limit_of_the_address_space_counts() -> None:
    limited = (
        "import resource, torch\n"
        "from convergan.training.memory import memory_limit\n"
        "before = memory_limit(torch.device('cpu'))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (20_000_000_000,) * 2)\n"
        "print(*memory_limit(torch.device('cpu')), sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, check=True
    )
    size, origin = done.stdout.strip().split("|")
    assert 0 < int(size) < 20_000_000_000
    limit = memory_limit(CPU)
    assert limit is not None and int(size) <= limit[0] + 2e9
    assert "ulimit" in origin or int(size) < 15_000_000_000


def write_images(folder: Path) -> Path:
    for number in range(12):
        image = folder / "ab"[number % 2] / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 10 * number).save(image)
    return folder


def test_what_does_not_fit_is_refused_before_an_image_is_decoded(tmp_path: Path) -> None:
    preset = FORMER_FOLDER
    folder = write_images(tmp_path / "images")
    (folder / "a" / "0.png").write_bytes(b"no image")
    data = replace(preset.data, path=folder, size_px=128, cache=tmp_path / "cache")
    recipe = replace(preset, data=data)
    with pytest.raises(
        UserError, match=r"^batch-size: expected a training that fits in the \S+ [MG]B "
    ):
        prepare(replace(recipe, batch_size=2**16), None, processes=1)
    # As soon as it fits, the images are decoded.
    with pytest.raises(UserError, match=r"0\.png: expected a readable image"):
        prepare(recipe, None, processes=1)


@pytest.mark.parametrize("size_px", [None, 16])
def test_the_cost_is_found_once_and_for_a_finished_run_not_at_all(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch, size_px: int | None
) -> None:
    preset = FORMER_FOLDER
    data = replace(
        preset.data,
        path=write_images(tmp_path / "images"),
        cache=tmp_path / "cache",
        size_px=size_px,
        folds=0,
    )
    recipe = replace(
        preset, epochs=1, min_steps_per_epoch=1, batch_size=2, data=data, networks=MLPSettings()
    )
    followed = []
    original = cost._trace.__wrapped__

    def follow(*arguments: Any, **options: Any) -> object:
        followed.append(options["rows"])
        return original(*arguments, **options)

    def begin_process() -> None:
        followed.clear()
        monkeypatch.setattr(cost, "_trace", lru_cache(follow))

    begin_process()
    train(recipe, tmp_path / "run", console=quiet)
    # Two batches, each once, though memory is looked at before the images are decoded and after.
    assert len(followed) == 2
    begin_process()
    train(recipe, tmp_path / "run", options=RunOptions(resume=True), console=quiet)
    assert followed == []
    begin_process()
    assert prepare(recipe, None, processes=1).cost is not None
    assert len(followed) == 2


def test_processes_share_the_memory_of_their_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(memory, "_own_bytes", lambda: (0, 0))
    alone, shared = memory_limit(CPU), memory_limit(CPU, 2)
    assert alone is not None and shared is not None
    assert shared[0] == alone[0] // 2 and shared[1].endswith("for each of 2 processes")
    recipe = PRESETS["digits"]
    monkeypatch.setattr(os, "sysconf", lambda name: 1 if "PAGE_SIZE" in name else 10**9)
    require_memory(recipe, (1, 8, 8), 10, device=CPU)
    with pytest.raises(UserError, match=r"this machine has for each of 50 processes"):
        require_memory(recipe, (1, 8, 8), 10, device=CPU, processes=50)
    # On as many machines, each process has one to itself.
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    require_memory(recipe, (1, 8, 8), 10, device=CPU, processes=50)


def test_every_arm_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    labels = np.arange(40) % 2
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    data = data_set_from_arrays(images, labels, test_images=images, test_labels=labels)
    # The recipe's own arm is without a generator; that of the arm `gan` needs 80 GB.
    objective = arm_recipe(replace(PRESETS["digits"], minutes=1), "baseline").objective
    networks = MLPSettings(hidden=(20, 10), generator_hidden=(65_536, 65_536))
    recipe = replace(
        PRESETS["digits"], labels=None, batch_size=8, networks=networks, objective=objective
    )
    recipe = replace(recipe, minutes=1, arms=("gan",))
    with pytest.raises(UserError, match=r"^batch-size: expected a training of the arm gan that"):
        train(recipe, tmp_path / "run", data=data, console=Console(quiet=True))
    assert not (tmp_path / "run").exists()
    assert prepare(replace(recipe, arms=()), data, processes=1).cost is not None


def test_the_frozen_network_is_checked_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def bytes_needed(size_px: int) -> int:
        settings = FrozenSettings(size_px=size_px).networks
        network = PretrainedDiscriminator(settings, (3, 32, 32), 4)
        shape = (3, 32, 32)
        needed_bytes = classifying_bytes(network, shape, device_type="cpu")
        monkeypatch.setattr(memory, "memory_limit", lambda *_: (needed_bytes, "this machine has"))
        memory.require_memory_of_frozen(network, settings, shape, device=CPU)
        monkeypatch.setattr(
            memory, "memory_limit", lambda *_: (needed_bytes - 1, "this machine has")
        )
        with pytest.raises(UserError, match=r"^frozen\.size-px: expected a network of the arm"):
            memory.require_memory_of_frozen(network, settings, shape, device=CPU)
        return needed_bytes

    weights = 3.4e6 * 4
    # Of larger images, fewer are classified at a time.
    assert weights < bytes_needed(64) < 10**9 and weights < bytes_needed(128) < 10**9


def test_a_system_that_does_not_tell_its_memory_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", ())
    monkeypatch.setattr(memory, "_own_bytes", lambda: (0, 0))
    assert memory_limit(CPU) is None or "ulimit" in memory_limit(CPU)[1]  # type: ignore[index]
    require_memory(PRESETS["digits"], (1, 8, 8), 10, device=CPU)


@pytest.mark.parametrize(
    ("networks", "advice"),
    [
        (MLPSettings(hidden=(2**16,) * 4), "--networks.hidden"),
        (ConvSettings(width=2**16), "--networks.width"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    networks: MLPSettings | ConvSettings, advice: str
) -> None:
    recipe = replace(FORMER_FOLDER, networks=networks)
    with pytest.raises(UserError, match=rf"got 32 images of 32x40 px.*{advice} takes less$"):
        require_memory(recipe, (3, 40, 32), 2, device=CPU)


def test_many_steps_of_the_generator_cost_as_much_more() -> None:
    def operations(turns: int) -> float:
        objective = replace(PRESETS["digits"].objective, generator_steps=turns)
        recipe = replace(PRESETS["digits"], objective=objective)
        return training_cost(recipe, (1, 8, 8), 10, bf16=False).step_operations

    increment = operations(2) - operations(1)
    assert increment > 0 and operations(1000) - operations(1) == pytest.approx(999 * increment)


def test_networks_beyond_counting_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        torch.empty(2**62, 2**62)

    monkeypatch.setattr("convergan.training.preparation.build_discriminator", overflow)
    recipe = replace(FORMER_FOLDER, data=replace(FORMER_FOLDER.data, size_px=32))
    with pytest.raises(UserError, match=r"^networks: expected networks for images of 32x32 px"):
        prepare(recipe, None, processes=1)


def test_minibatch_discrimination_takes_memory_and_few_operations_of_evaluation() -> None:
    recipe = PRESETS["cifar10-mb"]
    assert isinstance(recipe.networks, ConvSettings)
    without_kernels = replace(recipe, networks=replace(recipe.networks, minibatch_kernels=0))
    for device_type in ("cpu", "cuda"):
        kernels_cost, plain_cost = (
            training_cost(variant, (3, 32, 32), 10, bf16=False, device_type=device_type)
            for variant in (recipe, without_kernels)
        )
        assert plain_cost.memory_bytes < kernels_cost.memory_bytes < 1.1 * plain_cost.memory_bytes
        assert kernels_cost.test_operations < 2 * plain_cost.test_operations
