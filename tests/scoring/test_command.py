"""The output of `convergan score`: a line for each metric, paths as they are, what was left out."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.cli import main


def test_every_metric_has_one_line_of_80_columns(
    trained_run: Path,
    arrays: dict[str, Path],
    digits: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    for name in ("images", "others", "versus"):
        sample = rng.choice(digits, 400)
        noisy = sample ^ rng.integers(
            0, 4 if name != "versus" else 32, sample.shape, dtype=np.uint8
        )
        np.save(tmp_path / f"{name}.npy", noisy)
    words = ["score", str(tmp_path / "images.npy"), "--classifier", str(trained_run)]
    words += ["--reference", str(tmp_path / "others.npy")]
    metrics = ["Inception score", "FID", "KID", "precision", "recall", "density", "coverage"]
    versus = ["--versus", str(tmp_path / "versus.npy")]
    for options, ends in (([], None), (versus, ("better", "worse", "undecided", "no interval"))):
        assert main([*words, *options]) == 0
        first, header, *lines = capsys.readouterr().out.splitlines()
        assert "400 images" in first and "95 % interval" in header
        rows = [line for line in lines if not line.startswith("FID infinity")]
        for line, metric in zip(rows, metrics, strict=False):
            assert line.startswith(metric) and len(line) <= 80
            assert ends is None or line.rstrip().endswith(ends)
    text = " ".join(" ".join(lines).split())
    assert "of KID: closed form of the variance of a U-statistic" in text
    assert "no interval of FID" in text and "fewer than 1,000 images" in text
    assert "verdicts are corrected (Holm) for all 6" in text
    assert main([*words, "--weights", "x"]) == 1
    assert "--weights: expected None with --classifier" in capsys.readouterr().err


def test_paths_are_printed_as_they_are(
    trained_run: Path, digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "p[" / "b]:smile:" / ("long " * 20).strip() / "png[best]"
    folder.mkdir(parents=True)
    for number, image in enumerate(digits[:20]):
        Image.fromarray(image[:, :, 0]).save(folder / f"[{number:02d}].png")
    (folder / "[00].png").write_bytes(b"no image")
    words = ["score", str(folder), "--classifier", str(trained_run), "--skip-unreadable"]
    assert main([*words, "--json", str(folder / "[b].json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{folder}: 19 images")
    assert lines[1].startswith(f"images: skipped 1 unreadable image, the first {folder}/[00].png:")
    assert lines[-1] == f"wrote {folder}/[b].json"


def test_paths_are_not_obeyed_by_the_terminal(
    trained_run: Path, digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b]0;title\x07\nb.npy"
    np.save(file, digits[:20])
    assert main(["score", str(file), "--classifier", str(trained_run)]) == 0
    output = capsys.readouterr().out
    assert r"a\x1b]0;title\x07\nb.npy: 20 images" in output and "\x1b" not in output


def test_what_was_left_out_is_told_of_every_set(
    trained_run: Path, digits: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("images", "versus", "reference", "training")
    for place, name in enumerate(sets):
        (tmp_path / name).mkdir()
        for number, image in enumerate(digits[place : place + 20]):
            Image.fromarray(image[:, :, 0]).save(tmp_path / name / f"{number:02d}.png")
        broken = range(1) if name in ("images", "versus") else range(place)
        for number in broken:
            (tmp_path / name / f"{number:02d}.png").write_bytes(b"no image")
    words = [word for name in sets[1:] for word in (f"--{name}", str(tmp_path / name))]
    words += ["--classifier", str(trained_run), "--skip-unreadable"]
    path = tmp_path / "a.json"
    assert main(["score", str(tmp_path / "images"), *words, "--json", str(path)]) == 0
    output, content = capsys.readouterr().out, json.loads(path.read_text())
    for name, left_out in zip(sets, (1, 1, 2, 3), strict=True):
        assert f"{name}: skipped {left_out} unreadable image" in output
        assert content[name]["count"] == 20 - left_out
        assert len(content[name]["skipped"]) == left_out
        assert content[name]["skipped"][0]["name"].endswith("00.png")
