"""An ensemble: members that share one draw of labels, and what they say together."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from convergan.cli import main
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.networks.ensemble import EnsembleDiscriminator, averaged_logits
from convergan.recipes.files import read_recipe
from convergan.recipes.members import member_recipes
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.checkpoints import drop_newest_checkpoint
from convergan.runs.model import load_classifier, load_generator
from convergan.runs.results import read_results
from convergan.scoring.networks import run_embedding
from convergan.training import run, trainer
from convergan.training.run import RunOptions, rehearse, train
from drawn_images import write_folder
from support import FORMER_FOLDER

SEEDS = (4, 5, 6)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Three members of few steps, which disagree often enough for their mean to differ from each."""
    preset = PRESETS["digits"]
    return replace(
        preset,
        epochs=2,
        steps=6,
        seed=SEEDS[0],
        members=len(SEEDS),
        networks=MLPSettings(hidden=(30, 20), generator_hidden=(20,), latent_size=10),
        hardware=replace(preset.hardware, members="apart"),
    )


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """The folder of a finished ensemble. Tests must leave it as it is."""
    out = tmp_path_factory.mktemp("runs") / "ensemble"
    options = RunOptions(checkpoint_every_seconds=0)
    train(recipe, out, options=options, console=Console(quiet=True))
    return out


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def member_of(ensemble: Path, seed: int) -> Path:
    return ensemble / "members" / str(seed)


def test_images() -> tuple[np.ndarray, np.ndarray]:
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    return data.test.images, data.test.labels


test_images.__test__ = False  # type: ignore[attr-defined]


def without_times(results: dict) -> dict:
    times = ("train_seconds", "seconds_per_epoch")
    return {name: value for name, value in results.items() if name not in times}


def test_members_are_run_folders_that_share_the_labels(ensemble: Path, recipe: Recipe) -> None:
    assert {path.name for path in ensemble.iterdir()} == {
        "recipe.yaml", "manifest.json", "results.json", "report.html", "model", "members",
    }  # fmt: skip
    assert read_recipe(ensemble / "recipe.yaml") == recipe
    assert {path.name for path in (ensemble / "members").iterdir()} == set(map(str, SEEDS))
    labelled = read(ensemble / "manifest.json")["labelled"]
    weights = []
    for seed, expected in zip(SEEDS, member_recipes(recipe), strict=True):
        member = member_of(ensemble, seed)
        assert {path.name for path in member.iterdir()} >= {
            "recipe.yaml", "manifest.json", "metrics.jsonl", "results.json", "report.html",
            "checkpoints", "model", "samples",
        }  # fmt: skip
        assert read_recipe(member / "recipe.yaml") == expected
        assert (expected.seed, expected.data.split_seed, expected.members) == (seed, SEEDS[0], 1)
        assert read(member / "manifest.json")["labelled"] == labelled
        weights.append(load_classifier(member).network.state_dict()["hidden.0.weight"])
    assert not torch.equal(weights[0], weights[1])


def test_the_results_are_those_of_the_mean_probabilities(ensemble: Path) -> None:
    images, labels = test_images()
    alone = [predict(member_of(ensemble, seed), images).probabilities for seed in SEEDS]
    errors = int((np.mean(alone, axis=0, dtype=np.float64).argmax(axis=1) != labels).sum())
    results = read_results(ensemble / "results.json")
    assert (results.seed, results.test_size, results.test_errors) == (SEEDS[0], 500, errors)
    assert results.test_error_rate == errors / 500
    assert [member.seed for member in results.members] == list(SEEDS)
    member_errors = [int((probabilities.argmax(axis=1) != labels).sum()) for probabilities in alone]
    assert [member.test_errors for member in results.members] == member_errors
    assert len({errors, *member_errors}) > 1
    own = [read_results(member_of(ensemble, seed) / "results.json") for seed in SEEDS]
    assert [member.test_errors for member in own] == member_errors
    assert results.train_seconds == pytest.approx(sum(member.train_seconds for member in own))
    # The ensemble is compared with the mean of the baselines, not with one of them.
    assert results.baseline_test is not None and results.decision is not None
    assert "members" not in read(member_of(ensemble, SEEDS[0]) / "results.json")


def test_a_classifier_of_an_ensemble_says_what_its_members_say_on_average(ensemble: Path) -> None:
    images, labels = test_images()
    predictions = predict(ensemble, images)
    alone = [predict(member_of(ensemble, seed), images).probabilities for seed in SEEDS]
    assert np.allclose(predictions.probabilities, np.mean(alone, axis=0), atol=1e-6)
    errors = int((predictions.labels != labels).sum())
    assert errors == read(ensemble / "results.json")["test_errors"]
    classifier = load_classifier(ensemble)
    assert isinstance(classifier.network, EnsembleDiscriminator)
    output = classifier(torch.from_numpy(images[:7]).permute(0, 3, 1, 2))
    assert output.features.shape == (7, 3 * 20)
    assert (predict(classifier, images).probabilities == predictions.probabilities).all()


def test_an_ensemble_scores_images(ensemble: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", test_images()[0][:60])
    command = ["score", str(tmp_path / "images.npy"), "--splits", "2"]
    file = tmp_path / "score.json"
    assert main([*command, "--classifier", str(ensemble), "--json", str(file)]) == 0
    fingerprint = run_embedding(ensemble).fingerprint
    assert fingerprint["network"] == "classifier of an ensemble"
    member_fingerprint = run_embedding(member_of(ensemble, SEEDS[0])).fingerprint
    assert fingerprint["weights_sha256"] != member_fingerprint["weights_sha256"]
    assert fingerprint["weights_sha256"] in file.read_text(encoding="utf-8")


def test_predictions_of_an_ensemble_are_written_as_a_run_s(ensemble: Path, tmp_path: Path) -> None:
    from PIL import Image

    image = test_images()[0][0, :, :, 0]
    Image.fromarray(image).save(tmp_path / "a.png")
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(ensemble), str(tmp_path), "--out", str(out)]) == 0
    (row,) = csv.DictReader(out.open(encoding="utf-8"))
    expected = predict(ensemble, image[None]).probabilities[0]
    assert [float(row[str(digit)]) for digit in range(10)] == pytest.approx(expected, abs=1e-6)


def test_the_report_shows_each_member_and_leads_to_its_own(ensemble: Path) -> None:
    page = (ensemble / "report.html").read_text(encoding="utf-8")
    results = read_results(ensemble / "results.json")
    for member in results.members:
        assert f'<a href="members/{member.seed}/report.html">{member.seed}</a>' in page
        assert f"{member.test_errors} of 500 misclassified" in page
        assert (ensemble / "members" / str(member.seed) / "report.html").is_file()
    for words in ("ensemble of 3", "seed 4 to 6", "Alone, the members misclassify", "Error rate"):
        assert words in page
    own = (member_of(ensemble, SEEDS[0]) / "report.html").read_text(encoding="utf-8")
    assert "Members" not in own


def test_a_member_is_what_its_recipe_trains_by_itself(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    train(member_recipes(recipe)[1], tmp_path / "alone", console=quiet)
    by_itself = load_classifier(tmp_path / "alone").network.state_dict()
    member = load_classifier(member_of(ensemble, SEEDS[1])).network.state_dict()
    assert all(torch.equal(by_itself[name], member[name]) for name in member)


def test_an_ensemble_goes_on_where_it_was_in_a_member(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "stopped"
    shutil.copytree(ensemble, out)
    # As if killed within the second member, a step after its last checkpoint but one.
    for name in ("results.json", "report.html"):
        (out / name).unlink()
        (member_of(out, SEEDS[1]) / name).unlink()
    shutil.rmtree(out / "model")
    shutil.rmtree(member_of(out, SEEDS[1]) / "model")
    drop_newest_checkpoint(member_of(out, SEEDS[1]) / "checkpoints")
    shutil.rmtree(member_of(out, SEEDS[2]))
    untouched = (member_of(out, SEEDS[0]) / "results.json").stat().st_mtime_ns
    steps: list[int] = []
    fit = trainer.fit

    def counted(*arguments: object, **options: object) -> object:
        observer = options["observer"]
        done = observer.steps_done  # type: ignore[attr-defined]
        observer.steps_done = lambda step, total: (steps.append(step), done(step, total))  # type: ignore[attr-defined]
        return fit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "fit", counted)
    with pytest.raises(UserError, match="--resume continues it"):
        train(recipe, out, console=quiet)
    train(recipe, out, options=RunOptions(resume=True), console=quiet)
    # No step of the first, the last step of the second, all of the third.
    assert len(steps) == 1 + read(ensemble / "manifest.json")["steps"] // 3
    assert (member_of(out, SEEDS[0]) / "results.json").stat().st_mtime_ns == untouched
    for seed in SEEDS:
        name = Path("members") / str(seed) / "model" / "classifier.safetensors"
        assert (out / name).read_bytes() == (ensemble / name).read_bytes()
    for name in (".", *(f"members/{seed}" for seed in SEEDS)):
        results = [read(folder / name / "results.json") for folder in (out, ensemble)]
        assert without_times(results[0]) == without_times(results[1])


def test_an_ensemble_that_fails_before_it_begins_leaves_nothing(
    recipe: Recipe, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "fit", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        train(recipe, tmp_path / "new" / "ensemble", console=quiet)
    assert list(tmp_path.iterdir()) == []


def test_few_labels_are_cross_validated_in_each_member(tmp_path: Path, quiet: Console) -> None:
    write_folder(tmp_path / "images", labelled=4)
    recipe = replace(
        FORMER_FOLDER,
        members=2,
        epochs=1,
        min_steps_per_epoch=1,
        batch_size=6,
        networks=MLPSettings(hidden=(8,), generator_hidden=(6,), latent_size=4),
        data=replace(
            FORMER_FOLDER.data, path=tmp_path / "images", cache=tmp_path / "cache", folds=2
        ),
    )
    results = train(recipe, tmp_path / "run", console=quiet)
    assert (results.folds, results.test_size, len(results.members)) == (2, 12, 2)
    manifests = [read(tmp_path / "run" / name / "manifest.json") for name in ("", "members/1")]
    assert manifests[0]["folds_held_out"] == manifests[1]["folds_held_out"]
    assert [manifest["trainings"] for manifest in manifests] == [6, 3]
    assert (
        results.members[0].test_errors
        == read(tmp_path / "run/members/0/results.json")["test_errors"]
    )


def test_a_dry_run_tells_the_steps_of_all_members(recipe: Recipe) -> None:
    output = io.StringIO()
    rehearse(recipe, console=Console(file=output, width=200))
    text = output.getvalue()
    assert "3 members, of seeds 4 to 6: each 1 training of 2 epochs" in text
    assert f"for {3 * 6} steps" in text


def test_the_command_trains_an_ensemble_into_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[int, Path]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train", lambda recipe, out, **_: calls.append((recipe.members, out)))
    assert main(["train", "digits", "--seed", "2", "--members", "4"]) == 0
    assert main(["train", "digits", "--seed", "2"]) == 0
    assert calls == [
        (4, Path("runs/digits-100-seed2-members4")),
        (1, Path("runs/digits-100-seed2")),
    ]


def test_what_is_no_ensemble_is_told(
    ensemble: Path, recipe: Recipe, quiet: Console, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"members: expected 1 with minutes or arms.*got 3; --minutes None"
    ):
        replace(PRESETS["folder"], members=3)
    with pytest.raises(UserError, match="seed: expected one that leaves room"):
        replace(recipe, seed=2**63 - 2)
    with pytest.raises(UserError, match=r"got an ensemble; .*members/4 is one of its 3 members"):
        load_generator(ensemble)
    unsupervised = replace(
        recipe.objective, supervised=replace(recipe.objective.supervised, weight=0.0)
    )
    with pytest.raises(
        UserError, match="members: expected 1 where there are no classes to learn, got 3"
    ):
        train(replace(recipe, objective=unsupervised), tmp_path / "run", console=quiet)
    with pytest.raises(UserError, match=r"members: expected 3 as in .*got 2"):
        train(replace(recipe, members=2), ensemble, options=RunOptions(resume=True), console=quiet)


def test_a_damaged_member_is_named(ensemble: Path, tmp_path: Path) -> None:
    out = tmp_path / "damaged"
    shutil.copytree(ensemble, out)
    weights = member_of(out, SEEDS[2]) / "model" / "classifier.safetensors"
    # Those of another member fit by shape, and are not its own.
    shutil.copy(member_of(out, SEEDS[1]) / "model" / "classifier.safetensors", weights)
    with pytest.raises(UserError, match=r"members/6/.*expected weights of this run"):
        load_classifier(out)
    shutil.rmtree(member_of(out, SEEDS[2]))
    with pytest.raises(UserError, match=r"members/6: expected a run folder"):
        load_classifier(out)


def test_the_softmax_of_averaged_logits_is_the_mean_of_the_softmaxes() -> None:
    logits = torch.randn(4, 9, 3, dtype=torch.float32) * 8
    mean = torch.softmax(logits.double(), dim=2).mean(dim=0)
    averaged = averaged_logits(list(logits))
    assert torch.allclose(torch.softmax(averaged.double(), dim=1), mean, atol=1e-6)
    assert torch.allclose(averaged.exp().sum(dim=1), torch.ones(9))
    # The digits are the same in any batch.
    separate = torch.cat([averaged_logits(list(logits[:, row : row + 1])) for row in range(9)])
    assert torch.equal(separate, averaged)
    # Certainty beyond what fp32 can tell from 0 stays finite.
    sure = torch.tensor([[200.0, -200.0, 0.0]])
    assert torch.isfinite(averaged_logits([sure, sure])).all()
