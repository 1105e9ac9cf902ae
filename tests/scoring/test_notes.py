"""Notes say what speaks against a number: in the terminal, in the JSON, and in Python."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from convergan import ScoreSettings, score
from convergan.cli import main
from convergan.data.source import open_data_set
from convergan.metrics.inception_score_metric import InceptionScoreMetric
from convergan.metrics.metric import Embedded, estimate
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.presets import PRESETS
from convergan.scoring.notes import notes_of_fid, notes_of_inception_score
from scored import QUICK, scored


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    return np.asarray(data.test.images[:400]), np.asarray(data.test.labels[:400])


def messages(scores: Any, metric: str | None) -> list[str]:
    return [note.message for note in scores.notes if note.metric == metric]


def test_a_folder_of_class_folders_is_told_of(
    trained_run: Path,
    labelled: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, (image, label) in enumerate(zip(*labelled, strict=True)):
        (tmp_path / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        path = tmp_path / "images" / str(label) / f"{number}.png"
        Image.fromarray(image[:, :, 0]).save(path)
    words = ["score", str(tmp_path / "images"), "--classifier", str(trained_run)]
    assert main([*words, "--json", str(tmp_path / "a.json")]) == 0
    output = " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["schema"] == 2
    (note,) = [entry for entry in content["notes"] if "contiguous splits" in entry["message"]]
    assert note["metric"] == "is" and note["message"] in output
    # The note gives the score in a random order.
    scores = scored(trained_run, tmp_path / "images", replace(QUICK, protocol="shuffled"))
    shuffled = scores.numbers["Inception score"].value
    assert f"{shuffled:.3f} in random order (--protocol shuffled)" in note["message"]
    assert not any("contiguous" in message for message in messages(scores, "is"))
    assert shuffled > 2 * content["scores"][0]["value"]


def test_images_in_no_order_are_not_said_to_be_in_one() -> None:
    metric = InceptionScoreMetric(splits=10)
    false_positives = 0
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(200, 6, generator=generator) * 3
        notes = notes_of_inception_score(metric, Embedded(logits, logits))
        false_positives += any("contiguous" in note.message for note in notes)
    assert false_positives <= 1
    ordered = Embedded(logits, logits[logits.argmax(dim=1).argsort()])
    assert any("contiguous" in note.message for note in notes_of_inception_score(metric, ordered))


def test_an_order_of_the_images_beside_is_told_of() -> None:
    """The same images in random order would seem to be better if there were no note."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    images //= rng.integers(1, 12, (200, 1, 1, 1), dtype=np.uint8)
    ordered = images[images.mean(axis=(1, 2, 3)).argsort()]
    settings = ScoreSettings(metrics=("is",))
    with pytest.warns(UserWarning, match="splits of versus differ by more than chance"):
        scores = score(images, versus=ordered, classifier=Judge().eval(), settings=settings)
    assert not any("splits of images" in message for message in messages(scores, "is"))


def test_too_few_images_for_the_inception_score() -> None:
    """A note says by how much the score of few images is too low; 100,000 are enough."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100_000, 10, generator=generator) * 4
    metric = InceptionScoreMetric()
    full_score = estimate(metric, Embedded(logits, logits))[0].value
    assert notes_of_inception_score(metric, Embedded(logits, logits)) == []
    small = Embedded(logits[:600], logits[:600])
    (note,) = notes_of_inception_score(metric, small)
    low = 1 - np.mean(
        [
            estimate(metric, Embedded(part, part))[0].value / full_score
            for part in logits[:12_000].split(600)
        ]
    )
    bias = int(note.message.split("about ")[1].split(" %")[0]) / 100
    assert bias == pytest.approx(low, abs=0.01) and low > 0.02
    ten = Embedded(logits[:10], logits[:10])
    assert "too low" in notes_of_inception_score(metric, ten)[0].message


def test_the_bias_of_fid_is_judged_by_the_number_of_features(
    trained_run: Path, arrays: dict[str, Path]
) -> None:
    scores = scored(
        trained_run, arrays["some"], replace(QUICK, metrics=("fid",)), reference=arrays["others"]
    )
    (message,) = messages(scores, "fid")
    assert "FID of 60 images against 60 is far too high: " in message
    assert "FID infinity" not in scores.numbers
    from convergan.metrics.frechet_metric import FrechetMetric

    generator = torch.Generator().manual_seed(0)

    def draw(features: int, shift: float) -> Embedded:
        return Embedded(
            torch.randn(600, features, generator=generator) + shift, torch.empty(600, 0)
        )

    for features, shift, warned in ((4, 1.0, False), (200, 0.0, True)):
        images = draw(features, shift)
        numbers = estimate(FrechetMetric(), images, draw(features, 0.0))
        notes = notes_of_fid(numbers, images, 600)
        assert bool(notes) == warned
        assert [number.name for number in numbers] == ["FID", "FID infinity"]
    # Two draws of one distribution: all of FID is bias.
    assert numbers[1].value < numbers[0].value / 3


class Judge(nn.Module):
    """Takes images of any size."""

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        level = images.flatten(1).float().mean(dim=1, keepdim=True) / 255
        return DiscriminatorOutput(logits=torch.cat([level, -level], dim=1), features=level)


def test_sets_of_another_size_and_ranges_and_counts_that_are_off() -> None:
    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 256, (60, size, size), dtype=np.uint8) for size in (8, 16))
    judge = Judge().eval()
    with pytest.warns(
        UserWarning, match="the scored images are 8x8 px, those of reference 16x16 px"
    ):
        scores = score(small, reference=large, classifier=judge)
    assert any("8x8" in message for message in messages(scores, None))
    dark = score(
        small / 255.0, classifier=judge, settings=ScoreSettings(pixel_range=(0, 255), count=50)
    )
    text = " ".join(messages(dark, None))
    assert "are almost the same grey if black is 0 and white is 255" in text
    assert "count 50 has no effect" in text
    well = score(small / 255.0, classifier=judge, settings=ScoreSettings(pixel_range=(0, 1)))
    assert messages(well, None) == []
    ambiguous = rng.integers(0, 256, (20, 3, 8, 3), dtype=np.uint8)
    assert "might be [n, channels" in messages(score(ambiguous, classifier=judge), None)[0]


def test_statistics_of_unknown_resize(
    trained_run: Path, arrays: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / "own.npz"
    scored(trained_run, arrays["others"], save_statistics=own)
    with np.load(own) as content:
        np.savez(tmp_path / "theirs.npz", mu=content["mu"], sigma=content["sigma"])
    settings = replace(QUICK, metrics=("fid",))
    for path, warned in ((own, False), (tmp_path / "theirs.npz", True)):
        scores = scored(trained_run, arrays["some"], settings, reference=path)
        assert (
            any(
                "does not name the network and the resize" in message
                for message in messages(scores, "fid")
            )
            == warned
        )


def test_the_drawn_count_of_a_run_is_no_note(trained_run: Path) -> None:
    scores = scored(trained_run, trained_run, replace(QUICK, count=60))
    assert not any("has no effect" in note.message for note in scores.notes)
