"""Pairs of images are computed once, in blocks, by one process or several, for all metrics that need them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed

from convergan.metrics import pairs
from convergan.metrics.frechet_metric import FrechetMetric
from convergan.metrics.kernel_distance import KernelMetric
from convergan.metrics.manifold import OverlapMetric
from convergan.metrics.metric import Embedded, Measured
from convergan.metrics.pairs import measure_pairs
from support import on_two_ranks


def sets() -> tuple[list[Embedded], Embedded]:
    generator = torch.Generator().manual_seed(0)
    images = [
        Embedded(torch.randn(count, 9, generator=generator) * 0.8 + 0.4, torch.empty(count, 0))
        for count in (230, 210, 250)
    ]
    return images[:2], images[2]


def measured() -> list[list[Measured]]:
    return measure_pairs([KernelMetric(), OverlapMetric()], *sets())


def numbers(results: list[list[Measured]]) -> np.ndarray:
    """Values and covariances of all results, [results, sets + sets^2]."""
    rows = []
    for result in (result for metric_results in results for result in metric_results):
        assert result.spread is not None
        rows.append(np.concatenate([result.values, result.spread.plug_in.ravel()]))
    return np.array(rows)


def test_metrics_that_share_pairs_have_the_numbers_of_each_alone() -> None:
    shared = numbers(measured())
    alone = [metric.measure(*sets()) for metric in (KernelMetric(), OverlapMetric())]
    np.testing.assert_array_equal(numbers(alone), shared)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = numbers(measured())
    monkeypatch.setattr(pairs, "BLOCK", 64)
    np.testing.assert_allclose(numbers(measured()), expected, rtol=1e-9)


def test_products_of_many_images_are_of_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = numbers(measured())
    monkeypatch.setattr(pairs, "_MOST_IN_DOUBLE", 0)
    np.testing.assert_allclose(numbers(measured()), exact, rtol=1e-4, atol=1e-7)


def share(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    pairs.BLOCK = 64
    blocks = []
    metric = KernelMetric()
    metric.measure(*sets(), progress=lambda done, total: blocks.append(total))
    tasks = []
    fid = FrechetMetric().measure(*sets(), progress=lambda done, total: tasks.append(total))
    np.savez(
        f"{folder}/{rank}.npz",
        numbers=numbers(measured()),
        blocks=blocks[-1],
        fid=[result.values for result in fid],
        tasks=tasks[-1],
    )
    torch.distributed.destroy_process_group()


@pytest.mark.xdist_group("two ranks")
def test_two_processes_have_the_numbers_of_one_and_half_of_its_work(tmp_path: Path) -> None:
    expected = numbers(measured())
    on_two_ranks(share, str(tmp_path))
    distances = [result.values for result in FrechetMetric().measure(*sets())]
    blocks = tasks = 0
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as content:
            np.testing.assert_allclose(content["numbers"], expected, rtol=1e-9)
            np.testing.assert_allclose(content["fid"], distances, rtol=1e-9)
            blocks += int(content["blocks"])
            tasks += int(content["tasks"])
    # Of 4 x 4 blocks 10 are not below the diagonal; each comes to one of the processes.
    assert blocks == 3 * 10 + 2 * 16
    # FID of all images, and of both halves.
    assert tasks == 3
