"""The named groups of a batch, and where their images come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from convergan.data.batches import DeviceImages
from convergan.data.training_data import TrainingData
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
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
    with pytest.raises(ValueError, match="groups must be some of labelled, unlabelled, strong"):
        Batch(groups)


def source(labelled: int = 9, recipe: Recipe = RECIPE, *, textured: bool = False) -> BatchSource:
    """Twenty images, of which the i-th has level i; the first ones are labelled, with class i % 3.

    With texture the pixels but the first are random.
    """
    levels = np.arange(20, dtype=np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(levels[:, None, None, None], (20, 8, 8, 1)))
    if textured:
        pixels[:, 1:] = np.random.default_rng(0).integers(100, 150, pixels[:, 1:].shape)
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
        recipe,
        steps=4,
        pixel_range=(0.0, 255.0),
    )
    batches.begin_epoch(0)
    return batches


def levels_of(group: torch.Tensor) -> list[int]:
    return group[:, 0, 0, 0].round().int().tolist()


def test_labels_belong_to_their_images() -> None:
    for position in range(4):
        batch = source().real(position, {"labelled", "unlabelled"})
        assert batch.labels is not None
        assert [level % 3 for level in levels_of(batch["labelled"])] == batch.labels.tolist()


def test_only_the_groups_asked_for_are_prepared() -> None:
    assert list(source().real(0, {"labelled"}).groups) == ["labelled"]
    assert list(source().real(0, {"strong"}).groups) == ["strong"]
    batch = source().real(0, {"strong", "unlabelled", "generated"})
    assert list(batch.groups) == ["unlabelled", "strong"]
    assert all(len(group) == RECIPE.batch_size for group in batch.groups.values())
    # Where nothing is labelled there is no such group.
    assert list(source(labelled=0).real(0, set(GROUPS)).groups) == ["unlabelled", "strong"]


def test_without_augmentation_every_group_holds_the_images_and_nothing_is_drawn() -> None:
    plain = source(textured=True)
    state = torch.get_rng_state()
    batch, matched = plain.real(1, {"labelled", "unlabelled", "strong"}), plain.matched(1, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert batch["strong"] is batch["unlabelled"]
    for group in (*batch.groups.values(), matched):
        for image, level in zip(group, levels_of(group), strict=True):
            assert torch.equal(image, plain._gathered(np.array([level]))[0])


def test_each_group_has_its_view_of_the_images_that_are_due() -> None:
    identity = AugmentationSettings(kind="digits", shift=0, rotation=0, scale=0, shear=0, cutout=0)

    def groups(**changes: float) -> dict[str, torch.Tensor]:
        augmentation = replace(identity, **changes)
        batches = source(recipe=replace(RECIPE, augmentation=augmentation), textured=True)
        torch.manual_seed(0)
        batch = batches.real(1, {"labelled", "unlabelled", "strong"})
        return {**batch.groups, "matched": batches.matched(1, 0)}

    def changed(**changes: float) -> set[str]:
        views = groups(**changes)
        return {name for name, images in plain.items() if not torch.equal(images, views[name])}

    plain = groups()
    assert torch.equal(plain["strong"], plain["unlabelled"])
    assert changed(shift=0.25) == {"labelled", "unlabelled", "strong", "matched"}
    assert changed(rotation=90) == changed(brightness=0.2) == {"labelled", "strong"}
    assert changed(cutout=0.5) == {"strong"}
    # Strong views are made of the images themselves, not of their weak views: their shifts differ.
    shifted = groups(shift=0.25)
    assert not torch.equal(shifted["strong"], shifted["unlabelled"])


def test_the_generator_is_matched_with_other_images() -> None:
    batches = source()
    unlabelled = [
        levels_of(batches.real(position, {"unlabelled"})["unlabelled"]) for position in range(4)
    ]
    matched = [levels_of(batches.matched(position, 0)) for position in range(4)]
    assert unlabelled != matched
    # Four batches of six: one pass over all twenty images, and a part of another.
    assert set().union(*matched) == set(range(20))
