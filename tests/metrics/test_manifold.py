"""Precision, recall, density and coverage are their definitions, and torch-fidelity's."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convergan.metrics.manifold import find_balls, overlap
from convergan.metrics.membership import Membership
from convergan.statistics.bootstrap import bootstrap_weights


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(70, 3, generator=generator) * 0.8 + 0.5,
        torch.randn(60, 3, generator=generator),
    )


def radius(points: Tensor, k: int) -> Tensor:
    return torch.cdist(points, points).fill_diagonal_(torch.inf).kthvalue(k, dim=1).values


def test_all_four_are_their_definitions(
    sets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.metrics.neighbours._QUERIES", 16)
    generated, real = (some.double() for some in sets)
    distances = torch.cdist(generated, real)
    inside, wide = distances <= radius(real, 3), distances <= radius(real, 5)
    expected = (
        inside.any(dim=1).double().mean(),
        (distances <= radius(generated, 3).unsqueeze(1)).any(dim=0).double().mean(),
        wide.sum() / (5 * len(generated)),
        wide.any(dim=0).double().mean(),
    )
    got = overlap(find_balls(*sets))
    np.testing.assert_allclose(np.concatenate(got), [float(value) for value in expected])
    assert all(0 < value[0] < 1 for value in (got.precision, got.recall, got.coverage))


def test_precision_and_recall_are_torch_fidelitys(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    theirs = torch_fidelity("metric_prc").calculate_precision_recall_part(*sets)
    got = overlap(find_balls(*sets))
    assert (float(got.precision[0]), float(got.recall[0])) == pytest.approx(theirs, abs=1e-6)


def test_equal_sets_overlap_and_distant_ones_do_not() -> None:
    points = torch.randn(40, 4)
    same = overlap(find_balls(points, points))
    assert same.precision == same.recall == same.coverage == 1
    # Each is in its own ball and in those of others.
    assert same.density > 1
    apart = overlap(find_balls(points, points + 100))
    assert all(value == 0 for value in apart)


def test_weights_leave_balls_as_large_as_they_are(sets: tuple[Tensor, Tensor]) -> None:
    balls = find_balls(*sets)
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 3, size=(2, len(sets[0])))
    real_weights = generator.integers(0, 3, size=(2, len(sets[1])))
    got = overlap(balls, weights, real_weights)
    inside = balls.in_real.times(np.eye(len(sets[1]), dtype=np.float32)) > 0
    for number, (of_generated, of_real) in enumerate(zip(weights, real_weights, strict=True)):
        in_any = inside[:, of_real > 0].any(axis=1)
        expected = np.average(in_any, weights=of_generated)
        assert got.precision[number] == pytest.approx(expected)


def peaks_of(*tasks: str) -> list[int]:
    """The most memory that a process took for each task, beyond what it had before, in MB."""
    around = (
        "import re, torch\n"
        "from pathlib import Path\n"
        "from convergan.metrics.manifold import find_balls, overlap\n"
        "from convergan.statistics.bootstrap import bootstrap_weights\n"
        "def memory(name):\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(name + r':\\s+(\\d+)', status)[1])\n"
        "generator = torch.Generator().manual_seed(0)\n"
        "generated, real = (torch.randn(4000, 64, generator=generator) * s for s in (1, .3))\n"
        "weights = [bootstrap_weights(4000, 500, seed=number) for number in range(2)]\n"
        "overlap(find_balls(generated[:500], real[:500]))\n"
    )
    for task in tasks:
        around += (
            "Path('/proc/self/clear_refs').write_text('5')\n"
            "before = memory('VmRSS')\n"
            f"{task}\n"
            "print(memory('VmHWM') - before)\n"
        )
    done = subprocess.run([sys.executable, "-c", around], capture_output=True, check=True)
    return [int(line) // 1000 for line in done.stdout.split()]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_where_one_set_is_much_wider() -> None:
    """Most pairs are in a ball then. A byte a pair would be 16 MB, 500 replicates in 64 bits 16 MB each."""
    balls, as_much_as_may_be = peaks_of(
        "overlap(find_balls(generated, real), *weights)",
        "torch.zeros(64_000_000, dtype=torch.uint8).fill_(1)",
    )
    assert balls < 60 <= as_much_as_may_be


@pytest.mark.parametrize("share", [0.001, 0.3])
def test_products_with_few_and_with_many_of_the_other_set(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(50, 301, generator=generator) < torch.tensor([[share]] * 25 + [[0.5]] * 25)
    matrix = Membership(301)
    for rows in dense.split(10):
        matrix.append(rows)
    right, left = torch.randint(0, 9, (301, 4)).float(), torch.randint(0, 9, (50, 4)).float()
    np.testing.assert_array_equal(matrix.times(right.numpy()), dense.float() @ right)
    np.testing.assert_array_equal(matrix.transposed_times(left.numpy()), dense.float().T @ left)


def test_replicates_do_not_depend_on_those_beside_them(
    sets: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergan.metrics.manifold._REPLICATES", 3)
    weights = [bootstrap_weights(len(some), 7, seed=0) for some in sets]
    balls = find_balls(*sets)
    told: list[tuple[int, int]] = []
    together = overlap(balls, *weights, lambda *numbers: told.append(numbers))
    for number in range(7):
        alone = overlap(balls, *(some[number : number + 1] for some in weights))
        assert [values[number] for values in together] == [value[0] for value in alone]
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="as many features, got 3 and 2"):
        find_balls(sets[0], sets[1][:, :2])
    with pytest.raises(ValueError, match="k: expected 1 to 4, the number of neighbours, got 5"):
        find_balls(sets[0], sets[1][:5])
