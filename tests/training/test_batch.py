"""Named groups of a batch, and where their images come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from convergan.data.augmentation import VIEWS
from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.presets import PRESETS
from convergan.training.batch import GROUPS, Batch, BatchSource

RECIPE = replace(PRESETS["digits"], batch_size=6)


def images(rows: int, value: float = 0.0) -> torch.Tensor:
    return torch.full((rows, 1, 4, 4), value)


def test_an_output_is_split_by_name_in_the_order_of_the_groups() -> None:
    batch = Batch(
        {"generated": images(2, 3.0), "labelled": images(3, 1.0), "unlabelled": images(4)}
    )
    assert list(batch.groups) == ["labelled", "unlabelled", "generated"]
    assert batch.sizes == [3, 4, 2]
    flat = batch.images.flatten(1)
    parts = batch.split(DiscriminatorOutput(flat[:, :2].bfloat16(), flat))
    for name, group in batch.groups.items():
        assert torch.equal(parts[name].features, group.flatten(1))
        assert torch.equal(parts[name].logits, group.flatten(1)[:, :2])
        assert parts[name].logits.dtype == torch.float32


@pytest.mark.parametrize("groups", [{}, {"unlabelled": images(1), "fake": images(1)}])
def test_groups_have_known_names(groups: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="groups must be some of labelled, unlabelled, weak"):
        Batch(groups)


def source(labelled: int = 9) -> BatchSource:
    """Twenty images, of which the i-th has level i; the first ones are labelled, with class i % 3."""
    levels = np.arange(20, dtype=np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(levels[:, None, None, None], (20, 8, 8, 1)))
    data = TrainingData(
        images=pixels,
        labelled=np.arange(labelled),
        labels=np.arange(labelled) % 3,
        unlabelled=np.arange(20),
        validation=np.arange(0),
        validation_labels=np.arange(0),
        classes=("a", "b", "c"),
    )
    batches = BatchSource(
        DeviceImages(pixels, resident_bytes=10**6),
        data,
        RECIPE,
        steps=4,
        pixel_range=(0.0, 255.0),
        views=VIEWS,
    )
    batches.begin_epoch(0)
    return batches


def levels_of(group: torch.Tensor) -> list[int]:
    return group[:, 0, 0, 0].round().int().tolist()


def test_labels_belong_to_their_images() -> None:
    for position in range(4):
        batch = source().real(position, {"labelled"})
        assert batch.labels is not None
        assert [level % 3 for level in levels_of(batch["labelled"])] == batch.labels.tolist()


def test_only_the_groups_asked_for_are_prepared() -> None:
    assert list(source().real(0, set()).groups) == ["unlabelled"]
    batch = source().real(0, {"strong", "generated", "weak"})
    assert list(batch.groups) == ["unlabelled", "weak", "strong"]
    assert all(len(group) == RECIPE.batch_size for group in batch.groups.values())
    # Where nothing is labelled there is no such group.
    assert list(source(labelled=0).real(0, set(GROUPS)).groups) == ["unlabelled", "weak", "strong"]


def test_views_are_of_the_unlabelled_images_beside_them() -> None:
    batch = source().real(1, {"weak"})
    assert torch.equal(batch["weak"], batch["unlabelled"])  # Images of one level each.


def test_the_generator_is_matched_with_other_images() -> None:
    batches = source()
    seen = [levels_of(batches.real(position, set())["unlabelled"]) for position in range(4)]
    matched = [levels_of(batches.matched(position, 0)) for position in range(4)]
    assert seen != matched
    # Four batches of six: one pass over all twenty images, and a part of another.
    assert set().union(*matched) == set(range(20))
