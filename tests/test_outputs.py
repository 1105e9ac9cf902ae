"""Outputs that a user names are never destroyed, and no work begins whose output cannot be written."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.outputs import (
    binary_output,
    require_output,
    require_output_folder,
    spreadsheet_text,
    write_output,
)


def _checked_write(path: Path, text: str, *, overwrite: bool = False) -> None:
    require_output(path, name="out", overwrite=overwrite)
    write_output(path, text)


def test_a_file_is_replaced_only_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    _checked_write(path, "first")
    with pytest.raises(
        UserError, match=r"^out: expected a new file, got .*a\.csv, which exists; --ov"
    ):
        _checked_write(path, "second")
    assert path.read_text() == "first"
    _checked_write(path, "third", overwrite=True)
    assert path.read_text() == "third"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(pipe.read_text()))
    reader.start()
    _checked_write(pipe, "through the pipe")
    reader.join()
    assert texts == ["through the pipe"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root makes device nodes, and only root replaces them"
)
def test_root_does_not_replace_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        device.write_text("")
    except PermissionError:
        pytest.skip("this file system has no device nodes")
    _checked_write(device, "into nothing")
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "a.csv", tmp_path / "link.csv"
    link.symlink_to(target)
    _checked_write(link, "through a link to nothing yet")
    assert link.is_symlink() and target.read_text() == "through a link to nothing yet"
    with pytest.raises(UserError, match="which exists"):
        _checked_write(link, "again")


def test_a_hyphen_is_the_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _checked_write(Path("-"), "größer\r\n")
    _checked_write(Path("/dev/stdout"), "again")
    assert capfdbinary.readouterr().out == "größer\r\n".encode() + b"again"
    print("it is still open")
    assert capfdbinary.readouterr().out == b"it is still open\n"


def test_the_standard_output_that_is_a_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log:
        saved = sys.stdout
        sys.stdout = log
        try:
            print("printed before", flush=True)
            _checked_write(Path(f"/proc/self/fd/{log.fileno()}"), "written\n")
        finally:
            sys.stdout = saved
    assert path.read_text() == "printed before\nwritten\n"


def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, message in [
        (tmp_path, "expected a file, got the folder"),
        (tmp_path / "absent" / "a.csv", "expected a file in an existing folder"),
        (tmp_path / "file" / "a.csv", "expected a file in an existing folder"),
        (loop, "expected a path to write to, got .*loop"),
        (tmp_path / ("x" * 300), ".*File name too long"),
        (Path("a\0b"), "expected a path to write to"),
    ]:
        with pytest.raises(UserError, match=f"^json: {message}"):
            require_output(path, name="json", overwrite=True)


def test_a_folder_takes_new_files_and_replaces_old_ones_if_asked(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "figures"
    require_output_folder(folder, ["a.svg"], name="figures", overwrite=False)
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    (folder / "a.svg").write_text("")
    require_output_folder(folder, ["b.svg"], name="figures", overwrite=False)
    with pytest.raises(
        UserError, match=r"^figures: expected a new file, got .*a\.svg, which exists"
    ):
        require_output_folder(folder, ["b.svg", "a.svg"], name="figures", overwrite=False)
    with pytest.raises(UserError, match=r"^figures: expected a folder, got the file"):
        require_output_folder(folder / "a.svg", [], name="figures", overwrite=False)
    with pytest.raises(UserError, match=r"^out: expected a folder, got -, the standard output"):
        require_output_folder(Path("-"), [], name="out", overwrite=False)
    with pytest.raises(UserError, match=r"^figures: expected a folder in an existing folder"):
        require_output_folder(folder / "a.svg" / "below", [], name="figures", overwrite=False)


def test_a_full_device_is_named(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="No space") as error, binary_output(pipe):
            raise OSError(28, "No space left on device")
        assert error.value.filename == str(pipe)
    finally:
        os.close(reader)


def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), binary_output(path) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_does_not_compute_a_cell(text: str) -> None:
    assert spreadsheet_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["cat", "-1", "+5.5", "-1e3", "", "a=b", "images/=1+1.png"])
def test_harmless_cells_stay(text: str) -> None:
    assert spreadsheet_text(text) == text
