"""Files that cannot be written are noticed before anything is computed; those that can be are whole."""

import io
import json
import os
import threading
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from convergan.errors import UserError
from convergan.scoring.command import require_writable, score_paths
from convergan.scoring.settings import ScoreFiles, ScoreSettings
from scored import scored


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"json": "folder"}, "json: expected a file, got the folder"),
        ({"json": "absent/a.json"}, "json: expected a file in an existing folder"),
        ({"json": "file/a.json"}, "json: expected a file in an existing folder"),
        (
            {"save_statistics": "a.txt"},
            r"save_statistics: expected a file named \.npz, got .*a\.txt",
        ),
        ({"figures": "file"}, "figures: expected a folder, got the file"),
        ({"figures": "file/below/it"}, "figures: expected a folder in an existing folder"),
        ({"json": "new", "figures": "new"}, "figures: expected another path than that of json"),
    ],
)
def test_what_cannot_be_written(files: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    paths = {name: tmp_path / path for name, path in files.items()}
    with pytest.raises(UserError, match=message):
        require_writable(ScoreFiles(**paths))
    # Nothing is at the images' path: the outputs are looked at first.
    with pytest.raises(UserError, match=message):
        scored(tmp_path, tmp_path / "no images", **paths)


def test_folders_that_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(ScoreFiles(json=tmp_path / "a.json", figures=tmp_path / "new" / "figures"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for name in ("json", "figures"):
        with pytest.raises(UserError, match=f"{name}: expected a folder that can be written to"):
            require_writable(ScoreFiles(**{name: tmp_path / "new"}))


def test_copies_are_drawn_also_where_the_first_image_is_unreadable(
    trained_run: Path, arrays: dict[str, Path], digits: np.ndarray, tmp_path: Path
) -> None:
    images, figures = tmp_path / "images", tmp_path / "figures"
    images.mkdir()
    for number, image in enumerate(digits[:20]):
        Image.fromarray(image[:, :, 0]).save(images / f"{number:02d}.png")
    (images / "00.png").write_bytes(b"no image")
    settings = ScoreSettings(skip_unreadable=True)
    scored(trained_run, images, settings, training=arrays["some"], figures=figures)
    pixels = np.asarray(Image.open(figures / "nearest.png"))
    # Copies stand above their originals.
    assert pixels.shape[0] == 64 + 2 + 64 and pixels[:64].std() > 10
    np.testing.assert_array_equal(pixels[:64], pixels[66:])


def test_a_figure_that_needs_more_images_is_left_out(
    trained_run: Path, digits: np.ndarray, arrays: dict[str, Path], tmp_path: Path
) -> None:
    np.save(tmp_path / "seven.npy", digits[:7])
    settings = ScoreSettings(metrics=("kid",))
    files = ScoreFiles(
        classifier=trained_run, reference=arrays["others"], figures=tmp_path / "figures"
    )
    console = Console(record=True, file=StringIO(), width=200)
    score_paths(tmp_path / "seven.npy", files, settings, console)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["classes.svg"]
    assert (
        "the figure of the score by number of images is left out: expected at least 10 images"
        in console.export_text()
    )


def test_results_of_an_earlier_call_are_kept_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name, path in [
        ("json", tmp_path / "a.json"),
        ("save_statistics", tmp_path / "a.npz"),
        ("figures", tmp_path / "figures" / "classes.svg"),
    ]:
        path.write_text("earlier")
        files = {name: path.parent if name == "figures" else path}
        with pytest.raises(UserError, match=rf"^{name}: expected a new file, got .*{path.name}"):
            require_writable(ScoreFiles(**files))
        require_writable(ScoreFiles(**files, overwrite=True))


def test_numbers_and_statistics_go_through_pipes(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    contents: dict[str, bytes] = {}
    pipes = {"json": tmp_path / "a.json", "save_statistics": tmp_path / "a.npz"}
    readers = []
    for name, pipe in pipes.items():
        os.mkfifo(pipe)

        def drain(name: str = name, pipe: Path = pipe) -> None:
            contents[name] = pipe.read_bytes()

        readers.append(threading.Thread(target=drain))
        readers[-1].start()
    settings = ScoreSettings(metrics=("is",))
    scored(trained_run, next(iter(arrays.values())), settings, **pipes)
    for reader in readers:
        reader.join()
    assert json.loads(contents["json"])["scores"]
    with np.load(io.BytesIO(contents["save_statistics"])) as statistics:
        assert {"mu", "sigma"} <= set(statistics.files)
