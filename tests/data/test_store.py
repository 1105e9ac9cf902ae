import hashlib
import json
import os
import resource
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from convergan.data import store, store_writer
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.files import aside_folder
from convergan.recipes.settings import DataSettings
from support import without_privileges


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
    ids=lambda change: next(iter(change)),
)
def test_settings_of_decoding_have_stores_of_their_own(images, decoded, changed):
    open_data_set(DataSettings(path=images))
    open_data_set(DataSettings(path=images, **changed))
    assert len(decoded) == 2


def test_a_changed_added_or_removed_file_is_noticed(images, decoded, write_image):
    original = open_data_set(DataSettings(path=images))
    size, stamp = (images / "2.png").stat().st_size, (images / "2.png").stat().st_mtime_ns
    write_image(images / "2.png", seed=99)
    assert (
        images / "2.png"
    ).stat().st_size == size  # noise does not compress: the size tells nothing
    os.utime(images / "2.png", ns=(stamp, stamp + 1))
    edited = open_data_set(DataSettings(path=images))
    assert len(decoded) == 2
    changed = [
        (a != b).any() for a, b in zip(original.train.images, edited.train.images, strict=True)
    ]
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


def _flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _edit(**changes):
    def damage(folder):
        index = json.loads((folder / "index.json").read_text())
        index["written"].update(changes)
        (folder / "index.json").write_text(json.dumps(index))

    return damage


def _forge(**changes):
    """Edit the index as `_edit` does, and give it the checksum that fits."""

    def damage(folder):
        _edit(**changes)(folder)
        index = json.loads((folder / "index.json").read_text())
        digest = hashlib.sha256(json.dumps(index["written"]).encode()).hexdigest()
        (folder / "index.json").write_text(json.dumps({**index, "sha256": digest}))

    return damage


_SKIPPED = [{"name": "0.png", "reason": "x"}]
_DAMAGE = {
    "truncated pixels": lambda f: os.truncate(f / "pixels.u8", 100),
    "more pixels": lambda f: os.truncate(f / "pixels.u8", 10_000),
    "no pixels": lambda f: (f / "pixels.u8").unlink(),
    "no index": lambda f: (f / "index.json").unlink(),
    "broken index": lambda f: (f / "index.json").write_text("{"),
    "an index that is no UTF-8": lambda f: (f / "index.json").write_bytes(b"\xff\xfe{}"),
    "odd index": lambda f: (f / "index.json").write_text(json.dumps({"shape": [1]})),
    "deep index": lambda f: (f / "index.json").write_text("[" * 100_000),
    "a folder as index": lambda f: ((f / "index.json").unlink(), (f / "index.json").mkdir()),
    "a file as store": lambda f: (f.rename(f.with_name("x")), f.write_text("")),
    "other rows": _edit(rows=6),
    "other shape": _edit(shape=[5, 4, 16, 3]),
    "other checksum": _edit(pixels_sha256="0" * 64),
    "rows of another source": _forge(rows=10, shape=[10, 8, 4, 3]),
    "a row skipped": _forge(skipped_rows=[1], skipped=_SKIPPED),
    "a row skipped that is none": _forge(rows=6, skipped_rows=[500], skipped=_SKIPPED),
    "text for a row": _forge(skipped_rows=["x"], skipped=_SKIPPED),
    "text for rows": _forge(rows="x"),
    "no shape": _forge(shape=[5, 0, 0, 3]),
}


@pytest.mark.parametrize("resident_mb", [4096, 0])
@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_damaged_store_is_made_again_and_said_to_be(images, cache, decoded, damage, resident_mb):
    settings = DataSettings(path=images, resident_mb=resident_mb)
    intact = open_data_set(settings)
    pixels = np.array(intact.train.images)
    assert intact.notes == ()
    (folder,) = stores(cache)
    _DAMAGE[damage](folder)
    rebuilt = open_data_set(settings)
    assert len(decoded) == 2
    assert np.array_equal(pixels, rebuilt.train.images)
    assert rebuilt.fingerprint == intact.fingerprint
    assert rebuilt.notes[0].startswith(
        "The store of decoded images was damaged and has been made again ("
    )
    assert "\n" not in rebuilt.notes[0]
    assert folder in stores(cache)
    assert open_data_set(settings).notes == () and len(decoded) == 2


@pytest.mark.parametrize("position", [0, 333, -1])
def test_a_changed_pixel_is_noticed_when_the_store_is_opened(images, cache, decoded, position):
    intact = open_data_set(DataSettings(path=images))
    (folder,) = stores(cache)
    _flip(folder / "pixels.u8", position)
    rebuilt = open_data_set(DataSettings(path=images))
    assert len(decoded) == 2 and "pixels.u8" in rebuilt.notes[0]
    assert np.array_equal(intact.train.images, rebuilt.train.images)


def test_a_changed_pixel_of_a_store_on_the_disk_is_noticed_when_its_image_is_read(
    images, cache, decoded
):
    settings = DataSettings(path=images, resident_mb=0)
    pixels = np.array(open_data_set(settings).train.images)
    (folder,) = stores(cache)
    _flip(folder / "pixels.u8", 3 * 8 * 8 * 3 + 5)
    opened = open_data_set(settings).train.images
    assert np.array_equal(opened[[4, 0, 2]], pixels[[4, 0, 2]])
    with pytest.raises(
        UserError, match=r"pixels\.u8: expected the pixels .* for image 3; the next"
    ):
        opened[np.array([1, 3])]
    rebuilt = open_data_set(settings)
    assert len(decoded) == 2 and rebuilt.notes
    assert np.array_equal(rebuilt.train.images, pixels)


def test_changed_digests_are_noticed(images, cache, decoded):
    settings = DataSettings(path=images, resident_mb=0)
    open_data_set(settings)
    (folder,) = stores(cache)
    _flip(folder / "digests", 3)
    assert "digests" in open_data_set(settings).notes[0]


def test_a_store_truncated_while_it_is_read_is_one_line(images, cache):
    """A map would end the process by a signal, without a word."""
    opened = open_data_set(DataSettings(path=images, resident_mb=0)).train.images
    (folder,) = stores(cache)
    os.truncate(folder / "pixels.u8", 2 * 8 * 8 * 3)
    assert opened[1].shape == (8, 8, 3)
    with pytest.raises(UserError, match=r"pixels\.u8: expected 576 bytes or more, got fewer$"):
        opened[2]


def test_a_store_that_is_removed_while_it_is_read_can_be_read_to_the_end(images, cache):
    opened = open_data_set(DataSettings(path=images, resident_mb=0)).train.images
    shutil.rmtree(cache)
    assert np.array(opened).shape == (5, 8, 8, 3)


def test_a_failed_build_leaves_nothing_behind(images, cache):
    (images / "4.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"4\.png"):
        open_data_set(DataSettings(path=images))
    assert stores(cache) == []


def test_of_concurrent_builds_one_stays_and_all_are_right(images, cache, monkeypatch):
    # All wait until each is about to put its store in place.
    barrier = threading.Barrier(3)
    original = store.write_index

    def write_at_barrier(*args):
        original(*args)
        barrier.wait(timeout=120)

    monkeypatch.setattr(store, "write_index", write_at_barrier)
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


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda end: end.name)
def test_what_a_killed_process_left_is_removed_at_the_next_start(images, cache, write_image, end):
    begun, tell = os.pipe()
    child = os.fork()
    if child == 0:  # decodes until it is killed
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        open_data_set(DataSettings(path=images), lambda *_: (os.write(tell, b"x"), time.sleep(60)))
        os._exit(1)
    os.read(begun, 1)
    with aside_folder(cache) as living:
        (left,) = (folder for folder in stores(cache) if folder != living)
        # Other images, with a store of their own.
        write_image(images.parent / "other" / "1.png")
        open_data_set(DataSettings(path=images.parent / "other"))
        assert left.exists() and living.exists()
        os.kill(child, end)
        os.waitpid(child, 0)
        assert left.exists()
        open_data_set(DataSettings(path=images.parent / "other"))
        assert not left.exists() and living.exists()


def test_a_disk_that_fills_up_meanwhile_is_one_line_and_leaves_nothing(images, cache):
    """A limit on the size of files fails as a full disk does, in the midst of a write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"^data\.cache: expected a folder .* \(File too large\)$"
        ):
            open_data_set(DataSettings(path=images))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert stores(cache) == []


def test_a_cache_that_cannot_be_written_is_named(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data\.cache: expected a folder to write .*, got .*/file"):
        open_data_set(DataSettings(path=images, cache=tmp_path / "file"))


@pytest.mark.parametrize("subfolder", ["", "new"])
def test_a_cache_without_permission_is_named(write_image, subfolder):
    # Not in a folder of the tests' own, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        write_image(place / "images" / "1.png")
        locked = place / "locked"
        locked.mkdir(mode=0o555)
        with (
            without_privileges(),
            pytest.raises(UserError, match=r"data\.cache: .*, got .* \(Permission denied\)$"),
        ):
            open_data_set(DataSettings(path=place / "images", cache=locked / subfolder))
        assert list(locked.iterdir()) == []


def test_a_full_disk_is_noticed_before_the_work(images, monkeypatch):
    class Usage:
        free = 100

    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(
        UserError,
        match=r"data\.cache: expected 960 bytes free .*, got 100 bytes; --data\.cache takes",
    ):
        open_data_set(DataSettings(path=images))


def test_the_setting_goes_before_the_environment(images, cache, tmp_path):
    open_data_set(DataSettings(path=images, cache=tmp_path / "chosen"))
    assert len(stores(tmp_path / "chosen")) == 1
    assert not cache.exists()


def test_what_0_1_0_left_unfinished_is_removed_after_a_day(images, tmp_path):
    cache = tmp_path / "own cache"
    old, beginning, going_on = (cache / f"{32 * digit}.building-x" for digit in "012")
    yesterday = time.time() - 25 * 60 * 60
    for folder in (old, beginning, going_on):
        folder.mkdir(parents=True)
        (folder / "pixels.u8").write_bytes(b"pixels")
        if folder != beginning:
            os.utime(folder / "pixels.u8", (yesterday, yesterday))
            os.utime(folder, (yesterday, yesterday))
    (going_on / "pixels.u8").write_bytes(b"more pixels")
    open_data_set(DataSettings(path=images, cache=cache))
    assert not old.exists()
    assert beginning.exists() and going_on.exists()
