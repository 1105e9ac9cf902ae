import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch

from convergan.data.batches import DeviceImages, epoch_order
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)


def order(indices=range(10), *, steps=7, batch_size=5, seed=1, epoch=2, stream="labelled"):
    return epoch_order(
        np.array(indices), steps=steps, batch_size=batch_size, seed=seed, epoch=epoch, stream=stream
    )


@pytest.mark.parametrize("resident_bytes", [IMAGES.nbytes, IMAGES.nbytes - 1])
def test_batches_are_the_images_asked_for(resident_bytes):
    images = DeviceImages(IMAGES, resident_bytes=resident_bytes)
    indices = np.array([29, 3, 3, 0, 17])
    assert images.resident == (resident_bytes == IMAGES.nbytes)
    assert len(images) == 30
    assert np.array_equal(images.gather(indices).numpy(), IMAGES[indices])


def test_a_memory_map_gives_the_batches_of_memory(folder, write_image):
    for seed in range(12):
        write_image(folder / f"{seed}.png", seed=seed)
    mapped = open_data_set(DataSettings(path=folder, resident_mb=0)).train.images
    indices = order(range(12), steps=1, batch_size=12)[0]
    batches = [
        DeviceImages(mapped, resident_bytes=limit).gather(indices) for limit in (0, mapped.nbytes)
    ]
    assert torch.equal(*batches)
    assert np.array_equal(batches[0].numpy(), mapped[indices])


def test_images_in_memory_are_not_copied():
    images = IMAGES.copy()
    on_device = DeviceImages(images, resident_bytes=images.nbytes)
    images[4] = 7
    assert (on_device.gather(np.array([4])) == 7).all()


@pytest.mark.parametrize("count", [1, 2, 7, 35, 100])
def test_every_image_comes_equally_often(count):
    batches = np.stack(list(order(range(count))))
    assert batches.shape == (7, 5) and batches.dtype == np.int64
    times = np.bincount(batches.ravel(), minlength=count)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("count", [63, 64, 65, 5000])
def test_each_pass_is_a_permutation_and_no_two_are_alike(count):
    passes = list(order(range(10, 10 + count), steps=4, batch_size=count))
    assert all((np.sort(indices) == np.arange(10, 10 + count)).all() for indices in passes)
    assert len({tuple(indices) for indices in passes}) == 4


def test_all_orders_come_equally_often():
    orders = Counter(tuple(indices) for indices in order(range(4), steps=12_000, batch_size=4))
    assert len(orders) == 24
    chi_squared = sum((times - 500) ** 2 / 500 for times in orders.values())
    assert chi_squared < 50  # 99.9 % of fair shuffles of 24 orders


def test_neighbours_are_parted():
    (permutation,) = order(range(5000), steps=1, batch_size=5000)
    places = np.argsort(permutation)
    for distance in (1, 2, 100):
        assert abs(np.corrcoef(places[:-distance], places[distance:])[0, 1]) < 0.05
    assert abs(np.corrcoef(places, np.arange(5000))[0, 1]) < 0.05


def test_any_step_can_be_asked_for_at_any_time():
    all_steps = list(order(range(300), steps=1200, batch_size=7))
    resumed = order(range(300), steps=1200, batch_size=7)
    for step in (1199, 0, 600, 511, 512, 3):
        assert np.array_equal(resumed[step], all_steps[step])
    for step in (1200, -1):
        with pytest.raises(IndexError, match="expected a step, 0 to 1199"):
            resumed[step]


def test_a_pass_is_the_same_whatever_the_batches():
    for count in (3, 400, 5000):
        draws = [
            np.concatenate(list(order(range(count), steps=20_000 // size, batch_size=size)))
            for size in (100, 125, 20_000)
        ]
        assert np.array_equal(draws[0], draws[1]) and np.array_equal(draws[0], draws[2])


def test_memory_holds_the_pass_under_way_alone():
    indices = np.arange(200_000)
    tracemalloc.start()
    try:
        batches = epoch_order(
            indices, steps=1000, batch_size=999, seed=1, epoch=2, stream="unlabelled"
        )
        for step in range(1000):
            batches[step]
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 1.1 * indices.nbytes and peak < 2.2 * indices.nbytes


def test_ranks_share_each_batch():
    batches = order(batch_size=6)
    parts = [batches[:, first : first + 2] for first in (0, 2, 4)]
    for step, batch in enumerate(batches):
        assert np.array_equal(np.concatenate([part[step] for part in parts]), batch)
    for wrong in (lambda: batches[1:3, :2], lambda: parts[0][:, :1]):
        with pytest.raises(IndexError, match=r"expected \[:, first:last\] of all batches"):
            wrong()


def test_the_order_depends_on_its_arguments_alone():
    np.random.seed(0)
    first = np.stack(list(order()))
    np.random.random(5)
    assert np.array_equal(first, np.stack(list(order())))
    for change in ({"seed": 2}, {"epoch": 3}, {"stream": "unlabelled"}):
        assert not np.array_equal(first, np.stack(list(order(**change))))


def test_the_order_is_written_down():
    # A change of it, here or in NumPy, changes results, and earlier runs do not resume.
    batches = order(range(5), steps=2, batch_size=5)
    assert [batch.tolist() for batch in batches] == [[0, 4, 2, 3, 1], [0, 2, 3, 1, 4]]


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(UserError, match="indices: expected at least one image"):
        order([])
