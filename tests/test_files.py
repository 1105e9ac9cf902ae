"""Files are complete or absent, whatever was in their place and whichever process is killed."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from convergan.files import (
    aside_folder,
    naming,
    remove_leftovers,
    try_writing,
    write_text,
    written_aside,
)


def test_a_file_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(RuntimeError), written_aside(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    target, link, dangling = tmp_path / "there" / "a.txt", tmp_path / "link", tmp_path / "dangling"
    target.parent.mkdir()
    write_text(target, "old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    dangling.symlink_to(target.parent / "b.txt")
    write_text(dangling, "b")
    assert dangling.is_symlink() and (target.parent / "b.txt").read_text() == "b"


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="pipe"):
        write_text(pipe, "text")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


_WRITER = """
import sys, time
from pathlib import Path
from typing import Any
from convergan.files import written_aside
with written_aside(Path(sys.argv[1])) as aside:
    aside.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_leftovers_of_a_killed_process_go_those_of_a_living_one_stay(tmp_path: Path) -> None:
    def writer(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / name)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        return process

    killed, living = writer("killed.txt"), writer("living.txt")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        remove_leftovers(tmp_path)
        (left,) = tmp_path.iterdir()
        assert (left / "living.txt").read_text() == "half"
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_library_s_own_temporary_files_are_in_the_folder_that_goes(tmp_path: Path) -> None:
    """safetensors writes a file of its own beside the one that it is told, and renames it."""
    with pytest.raises(RuntimeError), aside_folder(tmp_path) as folder:
        (folder / ".tmpAbC").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with written_aside(tmp_path / "weights.safetensors") as draft:
        save_file({"a": torch.zeros(2)}, draft)
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("problem", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_written_to_all_the_same(
    problem: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr("fcntl.flock", refuse)
    write_text(tmp_path / "a.txt", "text")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_lock_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write_text(tmp_path / "a.txt", "text")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_taken_for_a_leftover_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tempfile.mkdtemp

    def mkdtemp(**options: Any) -> str:
        name = original(**options)
        remove_leftovers(tmp_path)
        assert not Path(name).exists()
        return name

    monkeypatch.setattr("tempfile.mkdtemp", mkdtemp)
    write_text(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_nobody_may_write_to_is_replaced(tmp_path: Path) -> None:
    """Write as a user who may write to the folder but not to the file; root may do anything."""
    tmp_path.chmod(0o777)
    code = (
        "import os, sys; from pathlib import Path; from convergan.files import write_text\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "path = Path(sys.argv[1]); path.write_text('old'); path.chmod(0o444)\n"
        "write_text(path, 'new'); print(path.read_text(), oct(path.stat().st_mode))"
    )
    folder = tempfile.mkdtemp(dir="/tmp")
    try:
        os.chmod(folder, 0o777)
        done = subprocess.run(
            [sys.executable, "-c", code, f"{folder}/a.txt"], capture_output=True, text=True
        )
    finally:
        shutil.rmtree(folder)
    assert done.stdout == "new 0o100444\n", done.stderr


def test_a_try_leaves_nothing(tmp_path: Path) -> None:
    try_writing(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        try_writing(tmp_path / "absent")


@pytest.mark.parametrize(
    ("error", "is_named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.EACCES, "Permission denied", "/a/.convergan-aside-1/b"), True),
        (OSError(errno.ENOSPC, "No space left on device", "/other"), False),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), False),
    ],
)
def test_an_error_of_writing_names_what_was_asked_for(error: OSError, is_named: bool) -> None:
    with pytest.raises(OSError) as raised, naming(Path("/asked/for")):
        raise error
    assert (raised.value.filename == "/asked/for") == is_named
    assert raised.value.errno == error.errno
