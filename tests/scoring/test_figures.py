"""The figure of scores shows those of the protocol that was asked for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.metric import Embedded, estimate
from convergan.scoring.figures import Parts, score_by_count, write_figures

LOGITS = torch.randn(300, 7, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize(
    "parts", [Parts("paper", 10, 2020), Parts("shuffled", 10, 5), Parts("shuffled", 4, 5)]
)
def test_its_last_point_is_the_score(parts: Parts) -> None:
    points = score_by_count(LOGITS, parts)
    assert [count for count, *_ in points][-3:] == [75, 150, 300]
    for count, mean, stdev in points:
        images = Embedded(LOGITS[:count], LOGITS[:count])
        options: dict[str, Any] = {"splits": parts.splits, "split_seed": parts.seed}
        metric = InceptionScoreMetric(protocol=parts.protocol, **options)
        (score,) = estimate(metric, images, None, seed=0)
        assert mean == pytest.approx(score.value, rel=1e-9)
        assert stdev == pytest.approx(score.stdev, rel=1e-6)


def test_it_says_which_and_is_left_out_without_images(tmp_path: Path) -> None:
    parts = Parts("shuffled", 4, 5)
    for count, names in ((4, ["classes.svg", "score-by-count.svg"]), (3, ["classes.svg"])):
        folder = tmp_path / str(count)
        paths = write_figures(folder, LOGITS[:count], (), parts)
        assert sorted(path.name for path in paths) == names
        assert sorted(path.name for path in folder.iterdir()) == names


def test_images_in_some_order_are_said_to_be(tmp_path: Path) -> None:
    parts = Parts("paper", 4, 0)
    for in_order in (False, True):
        write_figures(tmp_path / str(in_order), LOGITS, (), parts, in_order=in_order)
    plain, titled = (
        (tmp_path / str(in_order) / "score-by-count.svg").read_text() for in_order in (False, True)
    )
    words = "the images are in some order"
    assert words in titled and words not in plain


def test_probabilities_of_all_images_are_never_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    softmax = Tensor.softmax

    def counted(values: Tensor, *arguments: Any, **options: Any) -> Tensor:
        rows.append(len(values))
        return softmax(values, *arguments, **options)

    monkeypatch.setattr(Tensor, "softmax", counted)
    write_figures(tmp_path, LOGITS.repeat(20, 1), (), Parts("paper", 2, 0))
    assert max(rows) <= 1024 < 20 * len(LOGITS)
