import json
import os
import threading
import time

import numpy as np
import pytest

from convergan.data import open_data_set, store, store_writer
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings


@pytest.fixture
def images(folder, write_image):
    for seed in range(5):
        write_image(folder / f"{seed}.png", seed=seed)
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """One entry for each time that images were decoded."""
    times = []
    original = store_writer.decode_in_order

    def counted(*args, **kwargs):
        times.append(time.monotonic())
        return original(*args, **kwargs)

    monkeypatch.setattr(store_writer, "decode_in_order", counted)
    return times


def stores(cache):
    return sorted(path for path in cache.iterdir())


def test_images_are_decoded_once(images, decoded):
    first = open_data_set(DataSettings(path=images))
    second = open_data_set(DataSettings(path=images))
    assert len(decoded) == 1
    assert np.array_equal(first.train.images, second.train.images)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "changed",
    [{"size_px": 8}, {"channels": 1}, {"skip_unreadable": True}],
    ids=lambda each: next(iter(each)),
)
def test_settings_of_decoding_have_stores_of_their_own(images, decoded, changed):
    open_data_set(DataSettings(path=images))
    open_data_set(DataSettings(path=images, **changed))
    assert len(decoded) == 2


def test_a_changed_added_or_removed_file_is_noticed(images, decoded, write_image):
    before = open_data_set(DataSettings(path=images))
    size, stamp = (images / "2.png").stat().st_size, (images / "2.png").stat().st_mtime_ns
    write_image(images / "2.png", seed=99)
    assert (
        images / "2.png"
    ).stat().st_size == size  # noise does not compress: the size tells nothing
    os.utime(images / "2.png", ns=(stamp, stamp + 1))
    after = open_data_set(DataSettings(path=images))
    assert len(decoded) == 2
    changed = [(a != b).any() for a, b in zip(before.train.images, after.train.images, strict=True)]
    assert changed == [False, False, True, False, False]
    write_image(images / "new.png")
    assert len(open_data_set(DataSettings(path=images)).train) == 6
    (images / "0.png").unlink()
    assert len(open_data_set(DataSettings(path=images)).train) == 5
    assert len(decoded) == 4


def test_equal_files_elsewhere_with_other_pixels_are_not_mixed_up(tmp_path, write_image):
    opened = []
    for seed in (1, 2):
        file = tmp_path / str(seed) / "1.bmp"
        write_image(file, seed=seed)
        os.utime(file, (0, 0))
        opened.append(open_data_set(DataSettings(path=file.parent)).train.images)
    assert (opened[0] != opened[1]).any()


@pytest.mark.parametrize(
    "damage",
    ["truncated pixels", "more pixels", "no pixels", "no index", "broken index", "odd index"],
)
def test_a_store_that_is_not_whole_is_built_again(images, cache, decoded, damage):
    whole = open_data_set(DataSettings(path=images))
    (folder,) = stores(cache)
    pixels, index = folder / "pixels.u8", folder / "index.json"
    if damage == "truncated pixels":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "more pixels":
        pixels.write_bytes(pixels.read_bytes() + b"x")
    elif damage == "no pixels":
        pixels.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "broken index":
        index.write_text("{")
    else:
        index.write_text(json.dumps({"shape": [1]}))
    again = open_data_set(DataSettings(path=images))
    assert len(decoded) == 2
    assert np.array_equal(whole.train.images, again.train.images)
    assert stores(cache) == [folder]


def test_a_failed_build_leaves_nothing_behind(images, cache):
    (images / "4.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"4\.png"):
        open_data_set(DataSettings(path=images))
    assert stores(cache) == []


def test_of_concurrent_builds_one_stays_and_all_are_right(images, cache, monkeypatch):
    # All wait until each is about to put its store in place.
    barrier = threading.Barrier(3)
    original = store._put_in_place

    def together(*args):
        barrier.wait(timeout=20)
        original(*args)

    monkeypatch.setattr(store, "_put_in_place", together)
    opened = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_data_set(DataSettings(path=images))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3
    assert len({data.fingerprint for data in opened}) == 1
    assert len(stores(cache)) == 1


def test_what_a_killed_process_left_is_cleared_after_a_day(images, cache):
    open_data_set(DataSettings(path=images))
    (folder,) = stores(cache)
    (folder / "index.json").unlink()
    old, new = cache / f"{folder.name}.building-old", cache / f"{folder.name}.building-new"
    for left in (old, new):
        left.mkdir()
        (left / "pixels.u8").write_bytes(b"x")
    for path in (old / "pixels.u8", old):
        os.utime(path, (0, 0))
    open_data_set(DataSettings(path=images))
    assert stores(cache) == [folder, new]


def test_a_cache_that_cannot_be_written_is_named(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.cache: expected a folder to write .*, got .*/file"):
        open_data_set(DataSettings(path=images, cache=tmp_path / "file"))


@pytest.mark.parametrize("within", ["", "new"])
def test_a_cache_without_permission_is_named(images, tmp_path, within):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):
        pytest.skip("needs a user whom permissions bind, not root")
    with pytest.raises(UserError, match=r"data\.cache: .*, got .* \(Permission denied\)$"):
        open_data_set(DataSettings(path=images, cache=locked / within))


def test_a_full_disk_is_noticed_before_the_work(images, monkeypatch):
    class Usage:
        free = 100

    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(
        UserError, match=r"data\.cache: expected 0\.0 GB free .*; --data\.cache takes"
    ):
        open_data_set(DataSettings(path=images))


def test_the_setting_goes_before_the_environment(images, cache, tmp_path):
    open_data_set(DataSettings(path=images, cache=tmp_path / "chosen"))
    assert len(stores(tmp_path / "chosen")) == 1
    assert not cache.exists()
