"""Notes say what speaks against a number: in the terminal, in the JSON, and in Python."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from convergan import ScoreSettings, score
from convergan.cli import main
from convergan.data.source import open_data_set
from convergan.metrics.inception_score_metric import IN_ORDER, InceptionScoreMetric
from convergan.metrics.metric import Embedded, estimate
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.presets import PRESETS
from convergan.scoring.command import write_outputs
from convergan.scoring.note import Note
from convergan.scoring.notes import notes_of_earlier, notes_of_fid, notes_of_inception_score
from convergan.scoring.scores import Scores
from convergan.scoring.settings import ScoreFiles
from convergan.scoring.table import EarlierScores, print_scores
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
    assert note["metric"] == "is" and note["message"] in output and note["role"] == "images"
    # 400 images would have an interval in random order.
    number = content["scores"][0]
    assert number["interval"] is None and number["method"] == IN_ORDER
    assert f"no interval of Inception score: {IN_ORDER}" in output
    # The note gives the score in a random order.
    scores = scored(trained_run, tmp_path / "images", replace(QUICK, protocol="shuffled"))
    shuffled = scores.numbers["Inception score"].value
    assert f"{shuffled:.3f} in random order (--protocol shuffled)" in note["message"]
    assert not any("contiguous" in message for message in messages(scores, "is"))
    assert shuffled > 2 * content["scores"][0]["value"]
    assert scores.numbers["Inception score"].interval is not None


def brightness() -> tuple[np.ndarray, np.ndarray]:
    """Images of different brightness in random order, and the same from dark to bright."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    images //= rng.integers(1, 12, (200, 1, 1, 1), dtype=np.uint8)
    return images, images[images.mean(axis=(1, 2, 3)).argsort()]


def by_judge(images: np.ndarray, **files: Any) -> Scores:
    return score(images, metrics=("is",), classifier=Judge().eval(), **files)


def test_images_in_no_order_are_not_said_to_be_in_one() -> None:
    metric = InceptionScoreMetric(splits=10)
    false_positives = 0
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(200, 6, generator=generator) * 3
        notes = notes_of_inception_score(metric, Embedded(logits, logits))
        false_positives += any("contiguous" in note.message for note in notes)
    assert false_positives <= 1
    assert estimate(metric, Embedded(logits, logits))[0].interval is not None
    ordered = Embedded(logits, logits[logits.argmax(dim=1).argsort()])
    assert any("contiguous" in note.message for note in notes_of_inception_score(metric, ordered))
    assert estimate(metric, ordered)[0].interval is None


def test_an_order_of_the_images_beside_is_told_of() -> None:
    """The same images in random order would seem to be better."""
    images, ordered = brightness()
    with pytest.warns(UserWarning, match="splits of versus differ by more than chance"):
        scores = by_judge(images, versus=ordered)
    assert not any("splits of images" in message for message in messages(scores, "is"))
    # The other set keeps its interval, but there is no verdict.
    own, compared = scores.numbers["Inception score"], scores.comparisons["Inception score"]
    assert own.interval is not None and own == by_judge(images).numbers["Inception score"]
    assert compared.second.interval is None and compared.second.method == IN_ORDER
    assert compared.interval is None and compared.distinguishable is None
    content = scores.as_dict()["scores"][0]["versus"]
    assert content["interval"] is content["difference_interval"] is content["p_value"] is None
    assert content["method"] == IN_ORDER


def test_an_order_is_told_of_an_earlier_score(tmp_path: Path) -> None:
    """An earlier score of the images in an order, from its JSON, is no better and no worse."""
    images, ordered = brightness()
    path = tmp_path / "ordered.json"
    path.write_text(json.dumps(by_judge(ordered).as_dict()))
    later = by_judge(images, versus=path)
    compared = later.comparisons["Inception score"]
    assert compared.first.interval is not None and compared.distinguishable is None
    (message,) = (m for m in messages(later, "is") if "contiguous" in m)
    assert message.startswith("versus: the 10 contiguous splits of images differ by more")
    console = Console(record=True, file=StringIO(), width=200)
    print_scores(console, [*later.numbers.values()], [*later.comparisons.values()])
    text = console.export_text()
    (row,) = (line for line in text.splitlines() if line.startswith("Inception score"))
    assert row.rstrip().endswith("no interval")
    assert f"no interval of Inception score of versus: {IN_ORDER}" in text
    # What this call says itself is not repeated.
    repeated = messages(by_judge(ordered, versus=path), "is")
    assert len(repeated) == len(set(repeated))
    assert not any("versus: " in message for message in repeated)


def test_notes_of_an_earlier_call_on_other_metrics_and_sets_are_left_out() -> None:
    notes = [
        Note("is", "one", "images"),
        Note("fid", "two"),
        Note(None, "three"),
        Note("is", "four", "versus"),
        Note(None, "five", "training"),
        Note("is", "six"),
    ]
    earlier = EarlierScores("a.json", "images", {}, notes)
    carried = notes_of_earlier(earlier, ("is",), [Note("is", "six")])
    assert carried == [
        Note("is", "versus: one", "versus"),
        Note(None, "versus: three", "versus"),
    ]


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
    # The estimate, of first order, would be more than 100 %.
    ten = Embedded(logits[:10], logits[:10])
    assert (
        "10 splits make the score far too low" in notes_of_inception_score(metric, ten)[0].message
    )


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


def test_sets_of_another_size_and_ranges_that_are_off() -> None:
    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 256, (60, size, size), dtype=np.uint8) for size in (8, 16))
    judge = Judge().eval()
    with pytest.warns(
        UserWarning, match="the scored images are 8x8 px, those of reference 16x16 px"
    ):
        scores = score(small, reference=large, classifier=judge)
    assert any("8x8" in message for message in messages(scores, None))
    dark = score(small / 255.0, classifier=judge, settings=ScoreSettings(pixel_range=(0, 255)))
    text = " ".join(messages(dark, None))
    assert "are almost the same grey if black is 0 and white is 255" in text
    well = score(small / 255.0, classifier=judge, settings=ScoreSettings(pixel_range=(0, 1)))
    assert messages(well, None) == []
    ambiguous = rng.integers(0, 256, (20, 3, 8, 3), dtype=np.uint8)
    assert "might be [n, channels" in messages(score(ambiguous, classifier=judge), None)[0]


@pytest.mark.parametrize("kind", ["statistics", "features", "versus"])
def test_sizes_are_known_of_saved_files(kind: str, tmp_path: Path) -> None:
    """Files that stand for images of another size are told of as the images are."""
    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 256, (60, size, size), dtype=np.uint8) for size in (8, 16))
    judge = Judge().eval()
    saved = score(large, classifier=judge)
    path = tmp_path / ("a.json" if kind == "versus" else "a.npz")
    files = {"statistics": "save_statistics", "features": "save_features", "versus": "json"}
    write_outputs(ScoreFiles(**{files[kind]: path}), saved)
    name = "versus" if kind == "versus" else "reference"
    for images, warned in ((small, True), (large, False)):
        scores = score(images, classifier=judge, **{name: path})  # type: ignore[arg-type]
        message = f"the scored images are 8x8 px, those of {name} 16x16 px: the difference in size"
        assert any(message in note for note in messages(scores, None)) == warned
    content = scores.as_dict()
    assert content["images"]["sizes"] == {"smallest": [16, 16], "largest": [16, 16]}
    if kind == "versus":
        content = json.loads(path.read_text())
        del content["images"]["sizes"]
        path.write_text(json.dumps(content))
    else:
        assert content["reference"]["sizes"] == content["images"]["sizes"]
        with np.load(path) as members:
            np.savez(path, **{key: members[key] for key in members if key != "sizes"})
    # Files of before have no sizes.
    assert messages(score(small, classifier=judge, **{name: path}), None) == []  # type: ignore[arg-type]


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
