"""The Inception score is that of the authors' code and of torch-fidelity, and 1 for equal images; its memory
does not grow."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
from torch import Tensor, nn

from convergan.metrics.inception_score import (
    InceptionScore,
    divergences,
    split_of_images,
)
from convergan.metrics.inception_score_metric import (
    METHOD,
    METHOD_OF_SPLITS,
    InceptionScoreMetric,
)
from convergan.metrics.metric import Embedded
from support import on_two_ranks


def score_of_logits(logits: Tensor, batch: int = 17, **options: Any) -> tuple[float, float]:
    metric = InceptionScore(nn.Identity(), count=len(logits), **options)
    for part in logits.split(batch):
        metric.update(part)
    result = metric.compute()
    return float(result.mean), float(result.stdev)


def authors(logits: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Section 4 as the authors' code has it, literally, in float64."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    predictions = exponentials / exponentials.sum(axis=1, keepdims=True)
    scores = []
    for split in range(splits):
        part = predictions[split * len(logits) // splits : (split + 1) * len(logits) // splits]
        ratio = np.log(part) - np.log(part.mean(axis=0, keepdims=True))
        scores.append(np.exp((part * ratio).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(203, 30, generator=torch.Generator().manual_seed(0)) * 3


def test_paper_protocol_is_the_authors(logits: Tensor) -> None:
    assert score_of_logits(logits) == pytest.approx(authors(logits.double().numpy()), abs=1e-9)


def test_shuffled_protocol_is_torch_fidelitys(logits: Tensor, torch_fidelity: Any) -> None:
    reference = torch_fidelity("metric_isc").isc_features_to_metric(logits)
    expected = reference["inception_score_mean"], reference["inception_score_std"]
    assert score_of_logits(logits, protocol="shuffled") == pytest.approx(expected, abs=1e-9)
    assert score_of_logits(logits) != pytest.approx(expected, abs=1e-6)


def test_zero_probabilities_are_no_nan(logits: Tensor) -> None:
    # Probabilities of a single image, and mean probabilities of all images.
    logits[logits < 1] = -torch.inf
    logits[:, 0] = 1e4
    logits[:, 1] = -torch.inf
    assert score_of_logits(logits) == pytest.approx((1, 0), abs=1e-12)


def test_equal_images_score_exactly_one() -> None:
    assert score_of_logits(torch.randn(1, 10).expand(100, -1)) == pytest.approx((1, 0), abs=1e-12)


def test_certain_and_balanced_predictions_score_the_number_of_classes() -> None:
    assert score_of_logits(1e3 * torch.eye(7).repeat(20, 1), splits=10)[0] == pytest.approx(7)


@pytest.mark.parametrize("protocol", ["paper", "shuffled"])
def test_indices_stand_for_the_order(logits: Tensor, protocol: str) -> None:
    order = torch.randperm(len(logits))
    metric = InceptionScore(nn.Identity(), count=len(logits), protocol=protocol)  # type: ignore[arg-type]
    for indices in order.split(50):
        metric.update(logits[indices], indices)
    assert float(metric.compute().mean) == pytest.approx(
        score_of_logits(logits, protocol=protocol)[0]
    )


def test_state_is_of_splits_and_classes_alone(logits: Tensor) -> None:
    sizes = []
    for count in (len(logits), 50 * len(logits)):
        metric = InceptionScore(nn.Identity(), count=count)
        for _ in range(count // len(logits)):
            metric.update(logits)
        sizes.append(sum(getattr(metric, name).nbytes for name in metric._defaults))
    assert sizes[0] == sizes[1]


PEAKS = """
import re, torch
from pathlib import Path
from convergan.metrics.inception_score import InceptionScore

def peak(count, keeps):
    metric = InceptionScore(torch.nn.Identity(), count=count)
    kept = []
    # From here on, and not of the process that this one was made from.
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(count // 100):
        logits = torch.randn(100, 1008)
        metric.update(logits)
        if keeps:
            kept.append(logits)
    metric.compute()
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

peak(1000, keeps=True)
print(peak(1000, keeps=False), peak(50000, keeps=False), peak(50000, keeps=True))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_images() -> None:
    """Memory grows where all logits are kept, which shows that growth would be seen."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, check=True, text=True)
    few_images_peak, many_images_peak, kept_logits_peak = map(int, done.stdout.split())
    assert many_images_peak < 1.05 * few_images_peak < kept_logits_peak


def test_a_network_with_an_output_of_several_parts() -> None:
    class Network(nn.Module):
        def forward(self, images: Tensor) -> Any:
            from convergan.networks.interface import DiscriminatorOutput

            return DiscriminatorOutput(images.flatten(1)[:, :5].float(), images)

    metric = InceptionScore(Network(), count=10)
    images = torch.randint(0, 256, (10, 1, 4, 4), dtype=torch.uint8)
    metric.update(images)
    assert float(metric.compute().mean) == pytest.approx(
        score_of_logits(images.flatten(1)[:, :5].float())[0]
    )
    metric.reset()
    with pytest.raises(ValueError, match="count: expected 10 images, got 0"):
        metric.compute()


def test_divergences_are_what_the_score_is_made_of(logits: Tensor) -> None:
    score = score_of_logits(logits, splits=1)[0]
    assert float(divergences(logits).mean().exp()) == pytest.approx(score)
    certain = torch.cat([1e3 * torch.eye(5), torch.zeros(5, 5)])
    ranked = divergences(certain, torch.full((5,), 0.2, dtype=torch.float64))
    torch.testing.assert_close(ranked[:5], torch.full((5,), np.log(5), dtype=torch.float64))
    torch.testing.assert_close(ranked[5:], torch.zeros(5, dtype=torch.float64))


def test_parts_differ_by_one_image_at_most() -> None:
    parts = split_of_images(50_003, "paper")
    assert set(np.diff(parts)) == {0, 1}
    assert np.ptp(np.bincount(parts)) == 1
    shuffled = split_of_images(50_003, "shuffled")
    assert (np.bincount(shuffled) == np.bincount(parts)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 9}, "count: expected at least 10 images"),
        ({"count": 9, "splits": 0}, "splits: expected 1 or more"),
        ({"count": 20, "protocol": "other"}, "protocol: expected paper or shuffled"),
    ],
)
def test_impossible_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InceptionScore(nn.Identity(), **options)


def test_images_beyond_the_count(logits: Tensor) -> None:
    metric = InceptionScore(nn.Identity(), count=100)
    with pytest.raises(ValueError, match="indices: expected indices from 0 to 99"):
        metric.update(logits)


def test_a_call_adds_images_and_gives_their_own_score(logits: Tensor) -> None:
    metric = InceptionScore(nn.Identity(), count=len(logits))
    for part in logits.split(17):
        assert float(metric(part).mean) == pytest.approx(score_of_logits(part, splits=1)[0])
    result = metric.compute()
    assert (float(result.mean), float(result.stdev)) == pytest.approx(score_of_logits(logits))


def test_places_given_twice_are_refused(logits: Tensor) -> None:
    metric = InceptionScore(nn.Identity(), count=40)
    metric.update(logits[:40], torch.zeros(40, dtype=torch.int64))
    with pytest.raises(ValueError, match="each index once, 4 images in part 0, got 40"):
        metric.compute()


def score_on(rank: int, folder: str, logits: Tensor, divisions: list[tuple[Tensor, ...]]) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    scores = []
    for indices in divisions:
        metric = InceptionScore(nn.Identity(), count=len(logits))
        if len(indices[rank]):
            metric(logits[indices[rank]], indices[rank])
        scores.append(tuple(metric.compute()))
    torch.save(scores, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.xdist_group("two ranks")
def test_two_processes_have_the_score_of_one(logits: Tensor, tmp_path: Path) -> None:
    """The first process has no images in one case, and both have some in the other."""
    divisions = [torch.randperm(len(logits)).tensor_split([count]) for count in (0, 80)]
    on_two_ranks(score_on, str(tmp_path), logits, divisions)
    for rank in range(2):
        for score in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert tuple(map(float, score)) == pytest.approx(score_of_logits(logits))


def test_with_few_images_a_class_the_interval_is_as_wide_as_scores_vary() -> None:
    """Splits have 50 images for 500 classes: the delta method would give half of the variance."""
    generator = torch.Generator().manual_seed(0)
    metric = InceptionScoreMetric()
    scores, variances = [], []
    for _ in range(60):
        logits = torch.randn(500, 500, generator=generator)
        logits.scatter_(1, torch.randint(500, (500, 1), generator=generator), 12)
        (measurement,) = metric.measure([Embedded(logits[:, :1], logits)])
        assert measurement.spread is not None and measurement.method == METHOD_OF_SPLITS
        scores.append(measurement.values[0])
        variances.append(measurement.spread.variance([1]))
    # Three standard deviations of the logarithm of a variance of 60 values.
    assert abs(math.log(np.mean(variances) / np.var(scores, ddof=1))) < 3 * (2 / 59) ** 0.5
    assert measurement.spread.degrees_of_freedom == 9
    few_splits = InceptionScoreMetric(splits=5).measure([Embedded(logits[:, :1], logits)])[0]
    assert (
        few_splits.spread is None
        and "1,000 images in each of fewer than 8 splits" in few_splits.method
    )
    few_classes = metric.measure([Embedded(logits[:, :1], logits[:, :20])])[0]
    assert few_classes.spread is not None and few_classes.method == METHOD
