import pytest
import torch
from torch.nn import functional as F

from convergan.techniques.class_weights import balanced_class_weights

LABELS = torch.tensor([0] * 12 + [1] * 3 + [3] * 6)


def test_every_class_has_the_same_share_and_the_mean_is_1() -> None:
    weights = balanced_class_weights(LABELS.bincount())
    assert weights.tolist() == pytest.approx([21 / 36, 21 / 9, 0, 21 / 18])
    shares = torch.zeros(4).index_add(0, LABELS, weights[LABELS])
    assert shares[[0, 1, 3]].tolist() == pytest.approx([7, 7, 7])
    assert weights[LABELS].mean().item() == pytest.approx(1)


def test_of_all_labels_the_loss_is_the_weighted_cross_entropy() -> None:
    logits = torch.randn(21, 4, dtype=torch.float64)
    weights = balanced_class_weights(LABELS.bincount()).double()
    loss = (weights[LABELS] * F.cross_entropy(logits, LABELS, reduction="none")).mean()
    torch.testing.assert_close(loss, F.cross_entropy(logits, LABELS, weight=weights))
    # The mean over classes of the mean over each class.
    classes = [F.cross_entropy(logits[k == LABELS], LABELS[k == LABELS]) for k in (0, 1, 3)]
    torch.testing.assert_close(loss, torch.stack(classes).mean())


def test_balanced_labels_weigh_1() -> None:
    assert balanced_class_weights(torch.tensor([7, 7, 7])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1]])
def test_errors_name_the_argument(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"counts must be \[classes\], of numbers >= 0 .* got"):
        balanced_class_weights(torch.tensor(counts, dtype=torch.int64))
