"""What training is said to cost, beside what it costs."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from convergan.errors import UserError
from convergan.networks.build import build_discriminator, build_generator
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import ConvSettings, MLPSettings
from convergan.training.cost import training_cost
from convergan.training.memory import memory_limit, require_memory
from convergan.training.preparation import prepare

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

with launched(recipe.hardware) as fabric:
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    fit(fabric, preparation.recipe, preparation.split.training, checkpoints=None, observer=Silent(),
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
    # Two additions or multiplications for each weight and image at least, forth and back.
    assert cost.step_operations > 3 * recipe.batch_size * cost.test_operations > 0


def test_cost_grows_with_batch_and_pixels() -> None:
    recipe = PRESETS["folder"]
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
    cost = training_cost(PRESETS["folder"], (3, 3000, 4000), 2, bf16=False)
    assert 200e9 < cost.memory_bytes < 800e9


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
    size, whose = done.stdout.strip().split("|")
    assert 0 < int(size) < 20_000_000_000
    assert int(size) <= memory_limit(CPU)[0] + 2e9
    assert "ulimit" in whose or int(size) < 15_000_000_000


def test_what_does_not_fit_is_refused_before_an_image_is_read(tmp_path: Path) -> None:
    recipe = PRESETS["folder"]
    data = replace(recipe.data, path=tmp_path / "nothing-there", size_px=128)
    with pytest.raises(
        UserError, match=r"^batch-size: expected a training that fits in the \S+ [MG]B "
    ):
        prepare(replace(recipe, batch_size=2**16, data=data), None, processes=1)
    # As soon as it fits, the images are missed.
    with pytest.raises(UserError, match=r"^data\.path"):
        prepare(replace(recipe, data=data), None, processes=1)


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
    recipe = replace(PRESETS["folder"], networks=networks)
    with pytest.raises(UserError, match=rf"got 32 images of 32x40 px.*{advice} takes less$"):
        require_memory(recipe, (3, 40, 32), 2, device=CPU)


def test_many_steps_of_the_generator_cost_as_much_more() -> None:
    def operations(turns: int) -> float:
        objective = replace(PRESETS["digits"].objective, generator_steps=turns)
        recipe = replace(PRESETS["digits"], objective=objective)
        return training_cost(recipe, (1, 8, 8), 10, bf16=False).step_operations

    one = operations(2) - operations(1)
    assert one > 0 and operations(1000) - operations(1) == pytest.approx(999 * one)


def test_networks_beyond_counting_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        torch.empty(2**62, 2**62)

    monkeypatch.setattr("convergan.training.preparation.build_discriminator", overflow)
    recipe = replace(PRESETS["folder"], data=replace(PRESETS["folder"].data, size_px=32))
    with pytest.raises(UserError, match=r"^networks: expected networks for images of 32x32 px"):
        prepare(recipe, None, processes=1)
