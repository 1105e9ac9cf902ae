"""Scores of real images by real classifiers: files in; a table, JSON and figures out."""

import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convergan.cli import main
from convergan.data.image_stream import open_image_stream, stream_of_array
from convergan.errors import UserError
from convergan.inference.best_samples import best_samples
from convergan.inference.sample_files import sample_to_folder
from convergan.metrics.inception_score import InceptionScore, divergences
from convergan.metrics.reference_statistics import read_statistics
from convergan.scoring.embedding import embed
from convergan.scoring.inputs import ScoreInputs
from convergan.scoring.networks import run_embedding
from convergan.scoring.run_images import draw
from convergan.scoring.score import measure
from convergan.scoring.scores import Scores
from convergan.scoring.settings import ScoreSettings
from scored import DRAW_SETTINGS, QUICK, scored, value


def test_embeddings_are_the_networks_in_order(trained_run: Path, digits: np.ndarray) -> None:
    embedding = run_embedding(trained_run)
    calls: list[tuple[int, int]] = []
    result = embed(
        embedding, stream_of_array("a", digits), progress=lambda *numbers: calls.append(numbers)
    )
    with torch.no_grad():
        expected = embedding.network(torch.from_numpy(digits).permute(0, 3, 1, 2))
    torch.testing.assert_close(result.images.features, expected.features)
    torch.testing.assert_close(result.images.logits, expected.logits)
    assert calls[-1] == (120, 120)
    assert result.indices.tolist() == list(range(120))


def test_every_metric_tells_digits_from_noise(trained_run: Path, arrays: dict[str, Path]) -> None:
    real, noise = (
        scored(trained_run, arrays[name], reference=arrays["others"])
        for name in ("some", "permuted")
    )
    for name, sign in (
        ("Inception score", 1),
        ("FID", -1),
        ("KID", -1),
        ("precision", 1),
        ("recall", 1),
        ("density", 1),
        ("coverage", 1),
    ):
        assert sign * (value(real, name) - value(noise, name)) > 0, name


def test_the_inception_score_is_that_of_the_metric(
    trained_run: Path, arrays: dict[str, Path], digits: np.ndarray
) -> None:
    metric = InceptionScore(run_embedding(trained_run).network, count=60, protocol="shuffled")
    metric.update(torch.from_numpy(digits[:60]).permute(0, 3, 1, 2))
    settings = ScoreSettings(protocol="shuffled")
    scores = scored(trained_run, arrays["some"], settings)
    assert value(scores, "Inception score") == pytest.approx(float(metric.compute().mean), abs=1e-9)


def test_files_hold_every_number_and_what_it_depends_on(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    path, figures, statistics = tmp_path / "a.json", tmp_path / "figures", tmp_path / "a.npz"
    scores = scored(
        trained_run,
        arrays["some"],
        reference=arrays["others"],
        versus=arrays["permuted"],
        training=arrays["some"],
        json=path,
        figures=figures,
        save_statistics=statistics,
    )
    content = json.loads(path.read_text())
    assert content["authenticity"] == 0
    assert content["seed"] == QUICK.seed
    for name, array in (
        ("images", "some"),
        ("versus", "permuted"),
        ("reference", "others"),
        ("training", "some"),
    ):
        assert content[name] == {
            "place": str(arrays[array]),
            "count": 60,
            "sizes": {"smallest": [8, 8], "largest": [8, 8]},
            "skipped": [],
            **dict.fromkeys(("split", "pixel_range", "seed")),
        }
    names = [entry["name"] for entry in content["scores"]]
    assert names[:3] == ["Inception score", "FID", "KID"]
    for entry in content["scores"]:
        assert entry["fingerprint"].keys() >= {
            *("metric", "network", "weights_sha256", "resize", "pixels", "precision", "count"),
            "versions",
        }
        assert entry["versus"]["difference"] == pytest.approx(
            entry["value"] - entry["versus"]["value"]
        )
    assert content["scores"][0]["fingerprint"]["splits"] == 10
    overlap = content["scores"][names.index("precision")]["fingerprint"]
    assert overlap["k_precision_recall"] == 3 and overlap["k_density_coverage"] == 5
    versus = content["scores"][0]["versus"]
    # 60 images are too few for an interval that holds, and the method says so.
    assert versus["distinguishable"] is None and "fewer than 200" in content["scores"][0]["method"]
    for name in ("score-by-count.svg", "classes.svg"):
        assert (figures / name).read_text().startswith("<?xml")
    assert (figures / "nearest.png").stat().st_size > 100
    gaussian = read_statistics(statistics).statistics
    expected = scores.images.images.features.double().mean(dim=0)
    torch.testing.assert_close(gaussian.mean, expected)


def test_statistics_stand_for_the_reference(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    statistics = tmp_path / "b.npz"
    direct = scored(trained_run, arrays["some"], reference=arrays["others"])
    scored(trained_run, arrays["others"], save_statistics=statistics)
    by_file = scored(trained_run, arrays["some"], reference=statistics)
    assert list(by_file.numbers) == ["Inception score", "FID"]
    assert value(by_file, "FID") == pytest.approx(value(direct, "FID"), rel=1e-9)
    np.savez(tmp_path / "other.npz", mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(UserError, match=r"expected statistics of .* features, as the network has"):
        scored(trained_run, arrays["some"], reference=tmp_path / "other.npz")


def test_earlier_scores_are_compared_if_they_are_comparable(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "earlier.json"
    earlier = scored(trained_run, arrays["permuted"], json=path)
    later = scored(trained_run, arrays["some"], versus=path)
    (compared,) = later.comparisons.values()
    assert compared.second == earlier.numbers["Inception score"]
    assert compared.difference == pytest.approx(
        value(later, "Inception score") - value(earlier, "Inception score")
    )
    assert compared.distinguishable is None
    content = json.loads(path.read_text())
    content["scores"][0]["fingerprint"]["splits"] = 5
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"Inception score: expected .* same splits, got 10 and 5"):
        scored(trained_run, arrays["some"], versus=path)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"earlier\.json: expected the JSON of convergan score"):
        scored(trained_run, arrays["some"], versus=path)


def test_a_reference_is_its_images_wherever_they_are(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    reference, earlier = tmp_path / "reference.npy", tmp_path / "earlier.json"
    fid = replace(DRAW_SETTINGS, metrics=("fid",))

    def score_again(**files: Any) -> Scores:
        return scored(trained_run, arrays["some"], fid, **{"reference": reference, **files})

    np.save(reference, np.load(arrays["others"]))
    score_again(json=earlier)
    assert score_again(reference=arrays["others"], versus=earlier).comparisons
    np.save(reference, np.load(arrays["permuted"]))
    with pytest.raises(UserError, match="FID: expected numbers of the same reference_sha256"):
        score_again(versus=earlier)
    # The same holds for a run, whose images depend on the seed, and for statistics.
    score_again(reference=trained_run, json=earlier)
    score_again(reference=trained_run, versus=earlier)
    reseeded = replace(fid, seed=1)
    with pytest.raises(UserError, match="same reference_sha256"):
        scored(trained_run, arrays["some"], reseeded, reference=trained_run, versus=earlier)
    saved = [tmp_path / f"{name}.npz" for name in ("others", "permuted", "again")]
    for path, name in zip(saved, ("others", "permuted", "others"), strict=True):
        scored(trained_run, arrays[name], save_statistics=path)
    score_again(reference=saved[0], json=earlier)
    assert score_again(reference=saved[2], versus=earlier).comparisons
    with pytest.raises(UserError, match="same reference_sha256"):
        score_again(reference=saved[1], versus=earlier)


def test_what_an_earlier_call_did_not_measure_is_still_measured(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    earlier, later = tmp_path / "earlier.json", tmp_path / "later.json"
    scored(trained_run, arrays["permuted"], json=earlier)
    files = {"versus": earlier, "reference": arrays["others"]}
    settings = replace(QUICK, metrics=("is", "kid"))
    scores = scored(trained_run, arrays["some"], settings, json=later, **files)
    assert list(scores.numbers) == ["Inception score", "KID"]
    assert list(scores.comparisons) == ["Inception score"]
    content = json.loads(later.read_text())
    assert content["versus"] == {"place": str(arrays["permuted"]), "scores": str(earlier)}
    assert ["versus" in entry for entry in content["scores"]] == [True, False]


def test_settings_without_effect_do_not_keep_numbers_apart(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier.json"
    files = {"reference": arrays["others"]}
    settings = replace(QUICK, metrics=("is", "kid"))
    scored(trained_run, arrays["permuted"], settings, json=earlier, **files)
    equivalent = replace(settings, split_seed=7, kid_subset_size=50)
    assert (
        len(scored(trained_run, arrays["some"], equivalent, versus=earlier, **files).comparisons)
        == 2
    )
    for changed in ({"protocol": "shuffled"}, {"kid_subsets": 3}):
        with pytest.raises(UserError, match=r"same (protocol|subsets)"):
            scored(
                trained_run, arrays["some"], replace(equivalent, **changed), versus=earlier, **files
            )


def test_a_set_is_not_told_from_itself(trained_run: Path, arrays: dict[str, Path]) -> None:
    scores = scored(trained_run, arrays["some"], versus=arrays["some"])
    assert [
        (comparison.difference, comparison.distinguishable)
        for comparison in scores.comparisons.values()
    ] == [(0, None)]


def test_unreadable_images_are_named_or_counted(
    trained_run: Path, digits: np.ndarray, tmp_path: Path
) -> None:
    from PIL import Image

    for number, image in enumerate(digits[:20]):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "07.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"07\.png: expected a readable image, got not an image"):
        scored(trained_run, tmp_path)
    scores = scored(trained_run, tmp_path, ScoreSettings(skip_unreadable=True))
    assert len(scores.images.images) == 19
    assert [Path(skip.name).name for skip in scores.sets["images"].skipped] == ["07.png"]
    assert 7 not in scores.images.indices
    (tmp_path / "08.png").unlink()
    Image.new("L", (9, 8)).save(tmp_path / "08.png")
    with pytest.raises(UserError, match=r"08\.png: expected 8x8 pixels .* got 9x8"):
        scored(trained_run, tmp_path, ScoreSettings(skip_unreadable=True))


def test_a_runs_own_samples_are_scored(trained_run: Path, tmp_path: Path) -> None:
    sample_to_folder(trained_run, 60, tmp_path / "samples", seed=0)
    by_run, by_files = (
        scored(trained_run, path, DRAW_SETTINGS) for path in (trained_run, tmp_path / "samples")
    )
    assert value(by_run, "Inception score") == pytest.approx(value(by_files, "Inception score"))


def test_two_processes_give_the_same_numbers(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    command = [
        *("score", str(arrays["some"]), "--classifier", str(trained_run)),
        *("--reference", str(arrays["others"]), "--splits", "3"),
    ]
    assert main([*command, "--json", str(tmp_path / "one")]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "convergan.cli", *command, "--json", str(tmp_path / "two")],
            stdout=subprocess.PIPE,
            text=True,
            # As torchrun starts them.
            env={
                **os.environ,
                **{"RANK": str(rank), "WORLD_SIZE": "2"},
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            },
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=240)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    # Only the first process prints.
    assert [("\nInception score" in text, text == "") for text in outputs] == [
        (True, False),
        (False, True),
    ]
    by_one, by_two = (
        json.loads((tmp_path / name).read_text())["scores"] for name in ("one", "two")
    )
    for first, second in zip(by_one, by_two, strict=True):
        assert second["value"] == pytest.approx(first["value"], rel=1e-6, abs=1e-9)
        assert (first["interval"] is None) == (second["interval"] is None)
        if first["interval"] is not None:
            assert second["interval"] == pytest.approx(first["interval"], rel=1e-6, abs=1e-9)
        assert second["fingerprint"] == first["fingerprint"]
    assert by_one[0]["interval"] is not None


def test_the_best_samples_are_the_best(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = run_embedding(trained_run)
    indices = best_samples(trained_run, 5, 0.1, embedding, seed=3)
    images = np.concatenate(list(draw(trained_run, 50, seed=3)))
    logits = embed(embedding, stream_of_array("a", images)).images.logits
    quantities = divergences(logits)
    assert list(indices) == quantities.argsort(descending=True)[:5].tolist()
    words = ["sample", str(trained_run), "--count", "5", "--out", str(tmp_path / "best")]
    options = ["--best", "0.1", "--seed", "3", "--classifier", str(trained_run)]
    assert main([*words, *options]) == 0
    samples = open_image_stream(tmp_path / "best").decoded(1, None, slice(None))
    for image, index in zip(samples, indices, strict=True):
        np.testing.assert_array_equal(image, images[index])  # type: ignore[arg-type]
    for option in (["--classifier", str(trained_run)], ["--by", "inception"], ["--weights", "x"]):
        assert main([*words, *option]) == 1
        expected = f"{option[0][2:]}: expected --best with it, got none"
        assert expected in capsys.readouterr().err
    for count, share, message in ((0, 0.1, "count: "), (5, 0.0, "best: "), (5, 1.1, "best: ")):
        with pytest.raises(UserError, match=message):
            best_samples(trained_run, count, share, embedding)


class Constant(nn.Module):
    """Gives every image the same logits and features."""

    def forward(self, images: torch.Tensor) -> Any:
        from convergan.networks.interface import DiscriminatorOutput

        outputs = torch.ones(len(images), 3)
        return DiscriminatorOutput(outputs, outputs)


def test_every_step_is_told(trained_run: Path, arrays: dict[str, Path]) -> None:
    steps: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def stage(*step: str) -> Any:
        calls = steps.setdefault(step, [])  # type: ignore[arg-type]
        return nullcontext(lambda *numbers: calls.append(numbers))

    images, reference = (open_image_stream(arrays[name]) for name in ("some", "others"))
    settings = replace(QUICK, metrics=("is", "kid"))
    embedding = run_embedding(trained_run)
    inputs = ScoreInputs(images=images, reference=reference, training=reference)
    measure(inputs, embedding, settings, stage=stage)
    assert list(steps) == [
        ("features of images", "images"),
        ("features of reference", "images"),
        ("Inception score, with intervals", ""),
        ("KID, with intervals", ""),
        ("features of training", "images"),
        ("nearest training images", "images"),
    ]
    for name in ("images", "reference", "training"):
        assert steps[f"features of {name}", "images"][-1] == (60, 60)


def test_any_module_will_do() -> None:
    from convergan.scoring.embedding import Embedding

    embedding = Embedding(Constant(), 1, None, (), {"network": "constant"})
    images = np.zeros((20, 4, 4), dtype=np.uint8)
    scores = measure(ScoreInputs(images=stream_of_array("a", images)), embedding, ScoreSettings())
    assert scores.numbers["Inception score"].value == pytest.approx(1, abs=1e-12)
