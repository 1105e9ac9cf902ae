"""The arm `frozen`: what it learns, that it does so again, and that what is saved says the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from convergan.data.batches import DeviceImages
from convergan.data.image_set import data_set_from_arrays
from convergan.data.training_data import TrainingData
from convergan.errors import UserError
from convergan.inference.predict import predict
from convergan.networks import backbones
from convergan.networks.pretrained import PretrainedDiscriminator
from convergan.recipes.augmentation import AugmentationSettings
from convergan.recipes.files import recipe_from_dict, recipe_to_dict, recipe_to_yaml
from convergan.recipes.networks import PretrainedSettings
from convergan.runs.folder import RunFolder
from convergan.runs.model import ModelConfig, load_generator, save_model
from convergan.training import frozen
from convergan.training.classify import classify
from convergan.training.frozen import (
    STRENGTHS,
    FrozenNetwork,
    fit_frozen,
    fitted_head,
    fitting_seconds,
)
from convergan.training.loop import Fitted, fit
from convergan.training.preparation import prepare
from drawn_images import CLASSES, draw
from image_models import saved_resnet
from support import FORMER_FOLDER

CPU = torch.device("cpu")
NO_PACKAGE = (
    r"^frozen\.model: expected the package efficientnet_lite_pytorch .*, got no such package; pip"
)
SMALL = PretrainedSettings(size_px=64)
RECIPE = replace(FORMER_FOLDER, networks=SMALL, data=replace(FORMER_FOLDER.data, flip=False))
LABELLED, TEST = 6, 20


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(count * len(CLASSES)) % len(CLASSES)
    return np.stack([draw(CLASSES[label], generator) for label in labels]), labels


IMAGES, LABELS = shapes(LABELLED, 0)


def data_of(images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> TrainingData:
    indices, none = np.arange(len(images)), np.arange(0)
    return TrainingData(
        images=images,
        labelled=indices,
        labels=labels,
        unlabelled=indices,
        validation=none,
        validation_labels=none,
        classes=CLASSES,
    )


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_frozen(CPU, RECIPE, data_of())


def logits_of(fitted: Fitted, images: np.ndarray) -> torch.Tensor:
    on_device = DeviceImages(images, CPU, resident_bytes=10**9)
    return classify(fitted.discriminator, on_device, np.arange(len(images)))


def test_easy_shapes_are_learnt_from_six_labels_a_class(fitted: Fitted) -> None:
    images, labels = shapes(TEST, 1)
    wrong = (logits_of(fitted, images).argmax(dim=1).numpy() != labels).mean()
    # Two thirds by chance.
    assert wrong < 0.35
    assert (fitted.baseline, fitted.generator, fitted.epoch) == (None, None, 1)
    assert fitted.train_seconds > 0


def test_a_second_fit_is_equal_to_the_last_bit(fitted: Fitted) -> None:
    repeated = fit_frozen(CPU, RECIPE, data_of())
    first, second = fitted.discriminator.state_dict(), repeated.discriminator.state_dict()
    assert all(torch.equal(second[name], value) for name, value in first.items())


def save(fitted: Fitted, networks: PretrainedSettings, run: Path) -> None:
    """Write what a run keeps of its model."""
    folder = RunFolder(run)
    run.mkdir(exist_ok=True)
    folder.recipe.write_text(recipe_to_yaml(replace(RECIPE, networks=networks)))
    config = ModelConfig(
        networks=networks,
        image_shape=(3, 32, 32),
        classes=CLASSES,
        resized=False,
        has_generator=False,
    )
    save_model(folder, config, fitted.discriminator, None)


def test_what_is_saved_predicts_the_same_to_the_last_bit(fitted: Fitted, tmp_path: Path) -> None:
    save(fitted, SMALL, tmp_path)
    predictions = predict(tmp_path, IMAGES)
    expected = torch.softmax(logits_of(fitted, IMAGES), dim=1).numpy()
    assert np.array_equal(predictions.probabilities, expected)
    with pytest.raises(UserError):
        load_generator(tmp_path)


def test_a_run_with_a_model_of_transformers_is_loaded_again(tmp_path: Path) -> None:
    networks = PretrainedSettings(model=saved_resnet(tmp_path / "model"), size_px=64)
    fitted = fit_frozen(CPU, replace(RECIPE, networks=networks), data_of())
    save(fitted, networks, tmp_path / "run")
    # Its architecture is read from there, its weights are the run's.
    (tmp_path / "model" / "model.safetensors").unlink()
    predictions = predict(tmp_path / "run", IMAGES)
    expected = torch.softmax(logits_of(fitted, IMAGES), dim=1).numpy()
    assert np.array_equal(predictions.probabilities, expected)


def test_with_flips_the_mirror_images_are_learnt_from_as_well() -> None:
    counts: list[tuple[int, int]] = []
    views = AugmentationSettings(kind="photographs")
    recipe = replace(RECIPE, data=replace(RECIPE.data, flip=True), augmentation=views)
    flipped = fit_frozen(CPU, recipe, data_of(), progress=lambda *done: counts.append(done))
    assert counts[-1] == (2 * len(IMAGES), 2 * len(IMAGES))
    assert flipped.generator is None
    all_images = np.concatenate([IMAGES, IMAGES[:, :, ::-1]])
    image_features = FrozenNetwork(CPU, RECIPE, data_of(all_images, np.tile(LABELS, 2))).features(
        np.arange(36), [False]
    )
    view_features = FrozenNetwork(CPU, RECIPE, data_of()).features(np.arange(18), [False, True])
    np.testing.assert_allclose(view_features, image_features, rtol=0, atol=1e-5)


def test_trainings_share_one_network_and_see_each_labelled_image_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gathered_indices: list[int] = []
    loaded: list[str] = []
    gather, load = DeviceImages.gather, PretrainedDiscriminator.load_pretrained

    def gathered(images: DeviceImages, indices: np.ndarray) -> torch.Tensor:
        gathered_indices.extend(np.asarray(indices).tolist())
        return gather(images, indices)

    def load_pretrained(network: PretrainedDiscriminator) -> None:
        loaded.append("once")
        load(network)

    monkeypatch.setattr(DeviceImages, "gather", gathered)
    monkeypatch.setattr(PretrainedDiscriminator, "load_pretrained", load_pretrained)
    full_data = data_of()
    part = replace(full_data, labelled=np.arange(12), labels=LABELS[:12])
    network = FrozenNetwork(CPU, RECIPE, full_data)
    fitted_part = fit_frozen(CPU, RECIPE, part, network=network)
    earlier_state = {
        name: value.clone() for name, value in fitted_part.discriminator.state_dict().items()
    }
    fitted_full = fit_frozen(CPU, RECIPE, full_data, network=network)
    assert sorted(gathered_indices) == list(range(len(IMAGES))) and loaded == ["once"]
    assert fitted_full.shared_seconds > 0
    # The earlier classifier stays as it was.
    later_state = fitted_part.discriminator.state_dict()
    assert all(torch.equal(later_state[name], value) for name, value in earlier_state.items())
    # In other batches, the last bits of features differ.
    alone = fit_frozen(CPU, RECIPE, full_data)
    expected, actual = logits_of(alone, IMAGES), logits_of(fitted_full, IMAGES)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-2)


def test_fitting_is_expected_to_take_longer_with_more_labels_and_classes() -> None:
    # As measured, in seconds of a core; a half more or less.
    for rows, classes, seconds in (
        (400, 4, 0.42),
        (800, 10, 2.8),
        (3200, 4, 9.8),
        (3200, 10, 17.6),
    ):
        assert fitting_seconds(rows, classes) == pytest.approx(seconds, rel=0.5)


def test_a_recipe_of_other_networks_and_one_class_alone_are_refused() -> None:
    with pytest.raises(UserError, match=r"networks\.kind: expected pretrained, got conv"):
        fit_frozen(CPU, FORMER_FOLDER, data_of())
    with pytest.raises(UserError, match="labels: expected labelled images of two classes or more"):
        fit_frozen(CPU, RECIPE, data_of(labels=np.zeros_like(LABELS)))


def test_the_loop_of_steps_refuses_networks_that_it_would_not_train() -> None:
    with pytest.raises(UserError, match=r"networks\.kind: expected networks that are trained"):
        fit(CPU, RECIPE, data_of())


def test_the_recipe_is_read_as_it_was_written() -> None:
    assert recipe_from_dict(recipe_to_dict(RECIPE), "recipe") == RECIPE


def drawn_features(counts: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around a mean of each class, more of them than rows; one is constant."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = np.random.default_rng(99).normal(0, 1, (len(counts), 40))
    features = 3 + 2 * (means[labels] + generator.normal(0, 4, (len(labels), 40)))
    features[:, 7] = 5.0
    return features, labels


@pytest.mark.parametrize("counts", [[9, 9], [8, 5, 12]])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_head_is_the_logistic_regression_of_standardized_features(
    counts: list[int], balanced: bool
) -> None:
    features, labels = drawn_features(counts)
    weight, bias = fitted_head(
        features, labels, np.arange(len(labels)), classes=len(counts), balanced=balanced, seed=0
    )
    logits = features @ weight.T + bias
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    spread = features.std(axis=0)
    standardized = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    differences = []
    for strength in STRENGTHS:
        weights = "balanced" if balanced else None
        regression = LogisticRegression(C=strength, class_weight=weights, tol=1e-8, max_iter=5000)
        expected = regression.fit(standardized, labels).predict_proba(standardized)
        differences.append(abs(probabilities - expected).max())
    assert min(differences) < 2e-3


def test_the_strength_that_is_chosen_is_better_than_the_extremes() -> None:
    features, labels = drawn_features([12, 12, 12])
    test_features, test_labels = drawn_features([100, 100, 100], seed=1)

    def cost(strengths: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> float:
        monkeypatch.setattr(frozen, "STRENGTHS", strengths)
        weight, bias = fitted_head(
            features, labels, np.arange(36), classes=3, balanced=False, seed=0
        )
        logits = torch.from_numpy(test_features @ weight.T + bias)
        return float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(test_labels)))

    with pytest.MonkeyPatch.context() as monkeypatch:
        chosen_cost = cost(STRENGTHS, monkeypatch)
        extremes = [cost((strength,), monkeypatch) for strength in (STRENGTHS[0], 1e4)]
    assert chosen_cost < min(extremes)


def test_views_of_one_image_are_held_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups keep the copy of a held-out image from being learnt by heart, with no regularization."""
    features, _ = drawn_features([12, 12])
    # The features say nothing of these labels: only strong regularization is right.
    labels = np.random.default_rng(5).permutation(np.repeat([0, 1], 12))
    pairs, groups = np.concatenate([features, features]), np.tile(np.arange(24), 2)
    twice = np.concatenate([labels, labels])

    def size(groups: np.ndarray) -> float:
        weight, _ = fitted_head(pairs, twice, groups, classes=2, balanced=False, seed=0)
        return float(np.abs(weight).sum())

    assert size(groups) < 0.5 * size(np.arange(48))


def test_one_label_a_class_is_enough_and_a_class_without_labels_is_never_said() -> None:
    features, _ = drawn_features([1, 1, 1])
    weight, bias = fitted_head(
        features, np.array([0, 1, 3]), np.arange(3), classes=4, balanced=False, seed=0
    )
    logits = features @ weight.T + bias
    assert list(logits.argmax(axis=1)) == [0, 1, 3]
    test_features, _ = drawn_features([50, 50, 50], seed=1)
    assert not ((test_features @ weight.T + bias).argmax(axis=1) == 2).any()


def test_images_that_are_all_the_same_leave_it_to_the_frequencies() -> None:
    weight, bias = fitted_head(
        np.ones((9, 5)), np.repeat([0, 1, 1], 3), np.arange(9), classes=2, balanced=False, seed=0
    )
    assert not weight.any()
    assert bias[1] - bias[0] == pytest.approx(np.log(2), abs=1e-3)


def test_a_missing_package_is_told_of_the_setting_of_the_arm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recipe's own networks are others: `networks.model` is no setting of it."""
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    recipe = replace(FORMER_FOLDER, arms=("frozen",), data=replace(FORMER_FOLDER.data, flip=False))
    data = data_set_from_arrays(IMAGES, LABELS, classes=[*CLASSES])
    with pytest.raises(UserError, match=NO_PACKAGE):
        prepare(recipe, data, processes=1)
