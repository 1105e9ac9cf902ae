"""Precision, recall, density and coverage agree with their definitions and with torch-fidelity."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convergan.errors import UserError
from convergan.metrics.manifold import OverlapMetric, precision_recall_density_coverage
from convergan.metrics.metric import Embedded
from convergan.metrics.neighbours import KeptNeighbours


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
    monkeypatch.setattr("convergan.metrics.pairs.BLOCK", 16)
    generated, real = (points.double() for points in sets)
    distances = torch.cdist(generated, real)
    narrow, wide = distances <= radius(real, 3), distances <= radius(real, 5)
    expected = (
        narrow.any(dim=1).double().mean(),
        (distances <= radius(generated, 3).unsqueeze(1)).any(dim=0).double().mean(),
        wide.sum() / (5 * len(generated)),
        wide.any(dim=0).double().mean(),
    )
    result = precision_recall_density_coverage(*sets)
    np.testing.assert_allclose(result, [float(value) for value in expected])
    assert all(0 < value < 1 for value in (result.precision, result.recall, result.coverage))


def test_precision_and_recall_are_torch_fidelitys(
    sets: tuple[Tensor, Tensor], torch_fidelity: Any
) -> None:
    reference = torch_fidelity("metric_prc").calculate_precision_recall_part(*sets)
    result = precision_recall_density_coverage(*sets)
    assert (result.precision, result.recall) == pytest.approx(reference, abs=1e-6)


def test_equal_sets_overlap_and_distant_ones_do_not() -> None:
    points = torch.randn(40, 4)
    equal = precision_recall_density_coverage(points, points)
    assert equal.precision == equal.recall == equal.coverage == 1
    # Each is in its own ball and in those of others.
    assert equal.density > 1
    distant = precision_recall_density_coverage(points, points + 100)
    assert all(value == 0 for value in distant)


def peaks_of(*tasks: str) -> list[int]:
    """Peak memory of a process in each task, beyond what it had before, in MB."""
    code = (
        "import re, torch\n"
        "from pathlib import Path\n"
        "from convergan.metrics.manifold import precision_recall_density_coverage as overlap\n"
        "def memory(name):\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(name + r':\\s+(\\d+)', status)[1])\n"
        "generator = torch.Generator().manual_seed(0)\n"
        "generated, real = (torch.randn(4000, 64, generator=generator) * s for s in (1, .3))\n"
        "overlap(generated[:500], real[:500])\n"
    )
    for task in tasks:
        code += (
            "Path('/proc/self/clear_refs').write_text('5')\n"
            "before = memory('VmRSS')\n"
            f"{task}\n"
            "print(memory('VmHWM') - before)\n"
        )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return [int(line) // 1000 for line in done.stdout.split()]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_where_one_set_is_much_wider() -> None:
    """Most pairs are in a ball: in 64 bits their distances would take 128 MB."""
    balls, as_much_as_may_be = peaks_of(
        "overlap(generated, real)",
        "torch.zeros(128_000_000, dtype=torch.uint8).fill_(1)",
    )
    assert balls < 110 <= as_much_as_may_be


def test_what_cannot_be_compared(sets: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="real: expected 3 features, as generated has, got 2"):
        precision_recall_density_coverage(sets[0], sets[1][:, :2])
    with pytest.raises(UserError, match="real: expected at least 6 images, got 5"):
        precision_recall_density_coverage(sets[0], sets[1][:5])


def test_copies_of_one_image_are_no_distance_apart() -> None:
    """Rounding would put some copies outside their own balls, and density would be too low."""
    generator = torch.Generator().manual_seed(0)
    copies = torch.rand(1, 300, generator=generator).mul(7).repeat(40, 1)
    result = precision_recall_density_coverage(copies, copies)
    assert (result.precision, result.recall, result.coverage) == (1, 1, 1)
    assert result.density == 40 / 5


def test_groups_of_few_images_have_the_numbers_of_groups_of_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Distances of all pairs are cached for few images; intervals differ only in how often images are put
    into groups."""
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randn(count, 4, generator=generator) for count in (230, 210, 250)]
    sets[0][:40] = sets[0][0]
    images = [Embedded(features, features[:, :0]) for features in sets]
    monkeypatch.setattr("convergan.metrics.manifold._DEGREES_OF_FREEDOM_CACHED", 20)
    cached = OverlapMetric().measure(images[:2], images[2])
    monkeypatch.setattr("convergan.metrics.manifold._MOST_CACHED_PAIRS", 0)
    for first, second in zip(cached, OverlapMetric().measure(images[:2], images[2]), strict=True):
        assert first.spread is not None and second.spread is not None
        np.testing.assert_allclose(first.spread.plug_in, second.spread.plug_in, rtol=1e-9)


def test_neighbours_within_a_part_are_those_of_the_part() -> None:
    """Neighbours are right also where a part has few of those that are kept."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(120, 3, generator=generator)
    squares = torch.cdist(points, points).square().fill_diagonal_(torch.inf)
    neighbours = KeptNeighbours(squares)
    for size in (120, 60, 7):
        part = torch.randperm(120, generator=generator)[:size]
        expected = squares[part][:, part].topk(5, dim=1, largest=False).values
        torch.testing.assert_close(neighbours.distances_within(part, 5), expected)
