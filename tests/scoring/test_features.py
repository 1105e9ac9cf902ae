"""Saved features stand for images; files that others exchange are taken as they come."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convergan import ScoreSettings, score
from convergan.errors import UserError
from convergan.scoring.features import read_features
from scored import QUICK, scored, value


@pytest.fixture(scope="module")
def saved(
    trained_run: Path, arrays: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("features")
    for name in arrays:
        scored(trained_run, arrays[name], save_features=folder / f"{name}.npz")
    return {name: folder / f"{name}.npz" for name in arrays}


def test_features_give_the_numbers_of_their_images(
    trained_run: Path,
    arrays: dict[str, Path],
    saved: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("reference", "versus", "training")
    array_names = dict(zip(options, ("others", "permuted", "more"), strict=True))
    files = {name: arrays[array] for name, array in array_names.items()}
    by_image = scored(trained_run, arrays["some"], json=tmp_path / "a.json", **files)
    assert {"KID", "precision"} <= by_image.numbers.keys()
    mixed = scored(trained_run, arrays["some"], **{**files, "reference": saved["others"]})

    def embed(*_: object, **__: object) -> None:
        raise AssertionError("the network has looked at images")

    monkeypatch.setattr("convergan.scoring.score.embed", embed)
    feature_files = {name: saved[array] for name, array in array_names.items()}
    alone = scored(trained_run, saved["some"], **feature_files)
    without_network = scored(None, saved["some"], **feature_files)  # type: ignore[arg-type]
    for scores in (mixed, alone, without_network):
        assert scores.numbers == by_image.numbers
        assert scores.comparisons == by_image.comparisons
        assert scores.authenticity == by_image.authenticity
        # With these, earlier scores can be compared.
        assert scores.fingerprints == by_image.fingerprints
    assert scored(
        trained_run, saved["some"], reference=saved["others"], versus=tmp_path / "a.json"
    ).comparisons


def test_features_of_another_network_are_refused(
    trained_run: Path, arrays: dict[str, Path], saved: dict[str, Path], tmp_path: Path
) -> None:
    with np.load(saved["others"]) as content:
        members = dict(content)
    members["fingerprint"] = np.array(
        str(members["fingerprint"]).replace("classifier of a run", "another")
    )
    np.savez(tmp_path / "b.npz", **members)
    with pytest.raises(UserError, match=r"b\.npz: expected numbers of the same network, got"):
        scored(trained_run, arrays["some"], reference=tmp_path / "b.npz")


def test_features_of_any_tool(saved: dict[str, Path], tmp_path: Path) -> None:
    images, reference = (read_features(saved[name]).images for name in ("some", "others"))
    np.save(tmp_path / "one.npy", images.features.numpy())
    np.savez(
        tmp_path / "other.npz", features=reference.features.numpy(), logits=reference.logits.numpy()
    )
    settings = ScoreSettings(features=True)
    by_file = score(tmp_path / "one.npy", reference=tmp_path / "other.npz", settings=settings)
    by_array = score(images.features, reference=reference.features.numpy(), settings=settings)
    assert by_file.numbers == by_array.numbers
    assert list(by_file.numbers)[:2] == ["FID", "KID"]
    assert "Inception score" in score(tmp_path / "other.npz", settings=settings).numbers
    with pytest.raises(UserError, match=r"Inception score: expected logits in .*one\.npy"):
        score(tmp_path / "one.npy", metrics=("is",), settings=settings)
    for array, message in (
        (np.zeros((3, 4, 5)), r"features \[images, features\] of floats, got float64 \[3, 4, 5\]"),
        (np.full((9, 4), np.nan), "expected finite features, got NaN or infinity in row 0"),
        (np.zeros((3, 4), np.uint8), "of floats, got uint8"),
        (np.float64(3), "of floats, got float64"),
        (np.zeros((0, 4)), "expected features of images, got none"),
    ):
        np.save(tmp_path / "bad.npy", array)
        with pytest.raises(UserError, match=message):
            score(tmp_path / "bad.npy", reference=tmp_path / "other.npz", settings=settings)


def test_samples_as_they_are_exchanged(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    """guided-diffusion writes arr_0, and arr_1 with the classes."""
    images = np.load(arrays["some"])
    np.savez(tmp_path / "samples.npz", images, np.arange(60))
    expected = scored(trained_run, arrays["some"])
    assert scored(trained_run, tmp_path / "samples.npz").numbers == expected.numbers
    np.savez(tmp_path / "named.npz", labels=np.arange(60), mine=images)
    with pytest.raises(UserError, match=r"one array, or --key with its name, got labels, mine"):
        scored(trained_run, tmp_path / "named.npz")
    keyed = replace(QUICK, key="mine")
    assert scored(trained_run, tmp_path / "named.npz", keyed).numbers == expected.numbers
    with pytest.raises(UserError, match="expected an array named mine, as key says, got arr_0"):
        scored(trained_run, tmp_path / "samples.npz", keyed)


def test_a_reference_batch_has_statistics_for_fid_and_images_for_the_rest(
    trained_run: Path, arrays: dict[str, Path], saved: dict[str, Path], tmp_path: Path
) -> None:
    features = read_features(saved["permuted"]).images.features.double().numpy()
    np.savez(
        tmp_path / "batch.npz",
        arr_0=np.load(arrays["others"]),
        mu=features.mean(axis=0),
        sigma=np.cov(features, rowvar=False),
        mu_s=np.zeros(3),
        sigma_s=np.eye(3),
    )
    by_batch = scored(trained_run, arrays["some"], reference=tmp_path / "batch.npz")
    by_images, by_statistics = (
        scored(trained_run, arrays["some"], reference=arrays[name])
        for name in ("others", "permuted")
    )
    for name in ("KID", "precision", "recall", "density", "coverage"):
        assert value(by_batch, name) == value(by_images, name)
    assert value(by_batch, "FID") == pytest.approx(value(by_statistics, "FID"), rel=1e-6)
    np.savez(
        tmp_path / "other.npz", arr_0=np.load(arrays["others"]), mu=np.zeros(3), sigma=np.eye(3)
    )
    scores = scored(trained_run, arrays["some"], reference=tmp_path / "other.npz")
    assert scores.numbers["FID"] == by_images.numbers["FID"]
    assert any("FID uses the images in the file" in note.message for note in scores.notes)
