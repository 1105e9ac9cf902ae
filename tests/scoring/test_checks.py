"""Sets that cannot be scored are refused before the network looks at any image."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convergan.errors import UserError
from convergan.scoring.settings import ScoreSettings
from scored import QUICK, scored


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(*_: Any, **__: Any) -> None:
        raise AssertionError("the network has looked at images")

    monkeypatch.setattr("convergan.scoring.score.embed", embed)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize(
    ("settings", "files", "message"),
    [
        ({"metrics": ("fid",)}, {}, "metrics: expected --reference with fid, got none"),
        (
            {"metrics": ("is",)},
            {"reference": "others"},
            "reference: expected metrics that need it, got --metrics is alone",
        ),
        (
            {},
            {"versus": "more"},
            "Inception score: expected numbers of the same count, got 60 and 61",
        ),
        (
            {"kid_subsets": 2, "kid_subset_size": 61},
            {"reference": "more"},
            r"kid-subset-size: expected at most 60, the number of images in .*some\.npy, got 61",
        ),
        (
            {"splits": 61},
            {},
            "Inception score: expected at least 61 images, one for each split, got 60 in",
        ),
        (
            {},
            {"reference": "five"},
            r"precision and recall: expected at least 6 images, got 5 in .*five\.npy",
        ),
        ({"metrics": ("fid",)}, {"reference": "one"}, "FID: expected at least 2 images, got 1 in"),
        ({}, {"training": "one"}, "training: expected at least 2 images, got 1"),
        (
            {"metrics": ("kid",)},
            {"reference": "statistics"},
            "KID: expected --reference with images, got statistics alone",
        ),
        (
            {"metrics": ("pr",)},
            {"reference": "statistics"},
            "precision and recall: expected --reference with images, got statistics alone",
        ),
        (
            {},
            {"reference": "statistics"},
            "expected statistics of .*, got those of another network",
        ),
    ],
)
def test_sets_that_do_not_fit_the_metrics(
    settings: dict[str, Any],
    files: dict[str, str],
    message: str,
    trained_run: Path,
    arrays: dict[str, Path],
    digits: np.ndarray,
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "one.npy", digits[:1])
    np.save(tmp_path / "five.npy", digits[:5])
    np.savez(
        tmp_path / "statistics.npz", mu=np.zeros(3), sigma=np.eye(3), network="another network"
    )
    extra = {path.stem: path for path in tmp_path.iterdir()}
    paths = {option: {**arrays, **extra}[name] for option, name in files.items()}
    with pytest.raises(UserError, match=message):
        scored(trained_run, arrays["some"], replace(QUICK, **settings), **paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 70}, "Inception score: expected numbers of the same count, got 60 and 70"),
        ({"network": "n"}, "same network, got classifier of a run and n"),
        ({"versions": {"torch": "0"}}, r"same versions\.convergan, got .* and None"),
        ({"metric": "fid"}, r"versus: expected Inception score in .*a\.json, got Inception score"),
    ],
)
def test_earlier_scores_that_are_not_comparable(
    change: dict[str, Any],
    message: str,
    trained_run: Path,
    arrays: dict[str, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    path = tmp_path / "a.json"
    scored(trained_run, arrays["permuted"], json=path)
    content = json.loads(path.read_text())
    content["scores"][0]["fingerprint"].update(change)
    path.write_text(json.dumps(content))
    request.getfixturevalue("unseen")
    with pytest.raises(UserError, match=message):
        scored(trained_run, arrays["some"], versus=path)


def test_metrics_that_an_earlier_call_has_none_of(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "a.json"
    scored(trained_run, arrays["permuted"], json=path)
    request.getfixturevalue("unseen")
    settings = ScoreSettings(metrics=("fid", "pr"))
    with pytest.raises(
        UserError, match=r"versus: expected FID, precision and recall in .*, got Inception score"
    ):
        scored(trained_run, arrays["some"], settings, versus=path, reference=arrays["others"])


@pytest.mark.usefixtures("unseen")
def test_statistics_of_one_image_are_none(
    trained_run: Path, digits: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "one.npy", digits[:1])
    with pytest.raises(UserError, match="save_statistics: expected at least 2 images, got 1"):
        settings, out = replace(QUICK, splits=1), tmp_path / "a.npz"
        scored(trained_run, tmp_path / "one.npy", settings, save_statistics=out)


def test_counts_are_not_known_where_images_may_be_skipped(
    trained_run: Path, arrays: dict[str, Path]
) -> None:
    settings = replace(QUICK, skip_unreadable=True)
    with pytest.raises(UserError, match="same count, got 60 and 61"):
        scored(trained_run, arrays["some"], settings, versus=arrays["more"])
