"""The end of a run: its model, its report and, at last, its results."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from convergan.data.augmentation import view_examples
from convergan.networks.interface import Generator
from convergan.networks.pixels import to_uint8
from convergan.recipes.arms import has_arms
from convergan.recipes.files import recipe_to_dict
from convergan.recipes.settings import Recipe
from convergan.report.disagreements import disagreements
from convergan.report.expected import expected_curve
from convergan.report.inputs import (
    ArmSummary,
    Disagreements,
    MemberSummary,
    ReportInputs,
    ViewExamples,
)
from convergan.runs.epochs import EpochLine, mean_line, with_errors_of
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.model import ModelConfig, save_ensemble, save_model
from convergan.runs.results import ArmResult, Results, write_results
from convergan.training.arms import Trained
from convergan.training.ensemble import Member
from convergan.training.health import can_be_judged
from convergan.training.outcome import ArmOutcome, SplitOutcome, extremes, worth_labelling
from convergan.training.preparation import Preparation, image_shape
from convergan.training.samples import fixed_samples
from convergan.training.summary import data_rows
from convergan.training.trainings import trainings_of
from convergan.training.verdict import verdict_sentence

VIEWED_IMAGES = 6
"""Number of training images whose augmented views are in the report."""

REPORT_IMAGES = 64
"""Number of samples, and of training images to compare them with, in the report."""


def write_end(
    folder: RunFolder,
    preparation: Preparation,
    trained: Trained,
    results: Results,
    *,
    device: torch.device,
    origin: Mapping[str, str],
) -> None:
    """Write model/, report.html and, as the mark of a finished run, results.json.

    Args:
        folder: folder of the run, with the metrics and the manifest of its training.
        preparation: images and recipe.
        trained: the training whose networks are saved, and the outcome of all trainings.
        results: contents of results.json.
        device: device of the networks.
        origin: identity of the recipe and the images, for `save_model`.

    Raises:
        UserError: a file cannot be written, for example because the disk is full.
    """
    # The code for figures takes long to load, and only the end of a run needs it.
    from convergan.report.page import write_report

    recipe, data, fitted = preparation.recipe, preparation.data, trained.fitted
    config = ModelConfig(
        networks=trained.training.recipe.networks,
        image_shape=image_shape(data),
        classes=data.classes,
        resized=recipe.data.size_px is not None,
        has_generator=fitted.generator is not None,
    )
    save_model(folder, config, fitted.discriminator, fitted.generator, origin)
    inputs = _report_inputs(folder, preparation, trained, results, device, [fitted.generator])
    write_report(folder.report, inputs)
    write_results(folder.results, results)


def write_ensemble_end(
    folder: RunFolder,
    preparation: Preparation,
    members: Sequence[Member],
    ensemble: Trained,
    results: Results,
    *,
    device: torch.device,
) -> None:
    """Write model/, report.html and, as the mark of a finished ensemble, results.json.

    Args:
        folder: folder of the ensemble, with its manifest and the folders of its members.
        preparation: images and recipe.
        members: the finished members.
        ensemble: the members as one training.
        results: contents of results.json.
        device: device of the networks.

    Raises:
        UserError: a file cannot be written, for example because the disk is full.
    """
    from convergan.report.page import write_report

    recipe, data = preparation.recipe, preparation.data
    config = ModelConfig(
        networks=ensemble.training.recipe.networks,
        image_shape=image_shape(data),
        classes=data.classes,
        resized=recipe.data.size_px is not None,
        has_generator=False,
        members=tuple(member.results.seed for member in members),
    )
    save_ensemble(folder, config)
    generators = [member.trained.fitted.generator for member in members]
    inputs = _report_inputs(folder, preparation, ensemble, results, device, generators)
    curves = [
        _Curves(member.folder, preparation, member.results).result_lines() for member in members
    ]
    by_epoch = [{line.epoch: line for line in lines} for lines in curves]
    epochs = [
        mean_line([lines[epoch] for lines in by_epoch])
        for epoch in sorted(set.intersection(*map(set, by_epoch)))
    ]
    last = members[-1].results.seed
    inputs = replace(
        inputs,
        title=f"{inputs.title} to {last}, ensemble of {len(members)}",
        epochs=epochs,
        warnings=[
            warning._replace(message=f"member {member.results.seed}: {warning.message}")
            for member, lines in zip(members, curves, strict=True)
            for line in lines
            for warning in line.warnings
        ],
        members=[
            MemberSummary(
                seed=member.results.seed,
                test=member.results.test,
                baseline=member.results.baseline_test,
                seconds=member.results.train_seconds,
                report=member.folder.report.relative_to(folder.path).as_posix(),
            )
            for member in members
        ],
    )
    write_report(folder.report, inputs)
    write_results(folder.results, results)


def _report_inputs(
    folder: RunFolder,
    preparation: Preparation,
    trained: Trained,
    results: Results,
    device: torch.device,
    generators: Sequence[Generator | None],
) -> ReportInputs:
    recipe, data = preparation.recipe, preparation.data
    fitted, outcomes = trained.fitted, trained.outcomes
    curves = _Curves(folder, preparation, results)
    epochs = curves.result_lines()
    order = np.random.default_rng(recipe.seed).permutation(len(data.train.images))
    certain, uncertain = extremes(outcomes, data.classes)
    labelling, labelling_note = worth_labelling(data, fitted, device, recipe.seed)
    labels = f", {results.labels:,} labels" if data.classes else ""
    return ReportInputs(
        title=f"{recipe.name}{labels}, seed {recipe.seed}",
        verdict=verdict_sentence(results),
        results=results if outcomes else None,
        epochs=epochs,
        recipe=recipe_to_dict(recipe),
        manifest=folder.read_manifest(),
        warnings=[warning for epoch in epochs for warning in epoch.warnings],
        classes=list(data.classes),
        confusion=np.sum([o.confusion for o in outcomes], axis=0) if outcomes else None,
        real_images=data.train.images[np.sort(order[:REPORT_IMAGES])],
        generated_images=_generated(generators, recipe.seed),
        most_certain=certain,
        least_certain=uncertain,
        worth_labelling=labelling,
        worth_labelling_note=labelling_note,
        data=data_rows(preparation),
        expected=expected_curve(recipe),
        judged=can_be_judged(trained.training.recipe.epochs),
        arms=[_summary(arm, results, curves) for arm in results.arms]
        if len(trained.arms) > 1
        else [],
        disagreements=_disagreements(trained.arms, data.classes),
        views=_views(data.train.images[np.sort(order[:VIEWED_IMAGES])], recipe),
    )


def _generated(generators: Sequence[Generator | None], seed: int) -> np.ndarray | None:
    """Samples of all generators, equally many of each; None if there is no generator."""
    present = [generator for generator in generators if generator is not None]
    samples_per_generator = math.ceil(REPORT_IMAGES / max(len(present), 1))
    samples = [
        to_uint8(fixed_samples(generator, samples_per_generator, seed), generator.pixel_range)
        .cpu()
        .numpy()
        for generator in present
    ]
    return np.concatenate(samples)[:REPORT_IMAGES] if samples else None


def _views(images: np.ndarray, recipe: Recipe) -> ViewExamples | None:
    """Views of some training images; None without augmentation."""
    examples = view_examples(images, recipe.augmentation, flip=recipe.data.flip, seed=recipe.seed)
    originals = examples.pop("images")
    return ViewExamples(images=originals, views=examples) if examples else None


class _Curves:
    """The epochs of the trainings, with the test errors that are reported."""

    def __init__(self, folder: RunFolder, preparation: Preparation, results: Results) -> None:
        self._folder, self._has_arms = folder, has_arms(preparation.recipe)
        self._saved = results.saved_arm if self._has_arms else None
        self._trainings = trainings_of(preparation)
        self._has_test = preparation.data.test is not None

    def result_lines(self) -> list[EpochLine]:
        """The epochs of the saved model, with its test errors or, with folds, those of all folds together."""
        return self._with_errors(self._folder, self._saved)

    def arm_lines(self, name: str) -> list[EpochLine]:
        """The epochs of an arm, with the test errors that are reported for it."""
        if name == self._saved and self._has_test:
            return self.result_lines()
        return self._with_errors(self._folder.arm(name), name)

    def _with_errors(self, folder: RunFolder, arm: str | None) -> list[EpochLine]:
        lines = read_metrics(folder.metrics)
        if self._has_arms and self._has_test:
            return lines
        folds = [
            {line.epoch: line for line in read_metrics(part.metrics)} for part in self._folds(arm)
        ]
        if not lines and folds:
            lines = [*folds[0].values()]
        return [with_errors_of(line, [fold.get(line.epoch) for fold in folds]) for line in lines]

    def _folds(self, arm: str | None) -> list[RunFolder]:
        trainings = [training for training in self._trainings if training.arm == arm]
        folds = [training.fold for training in trainings if training.stage == "fold"]
        if arm is None:
            return [self._folder.fold(fold) for fold in folds]
        return [self._folder.arm(arm).held_out(fold) for fold in folds]


def _summary(arm: ArmResult, results: Results, curves: _Curves) -> ArmSummary:
    return ArmSummary(
        name=arm.name,
        test=results.error_rate_of(arm),
        minutes=arm.minutes,
        steps=arm.steps,
        held_out_errors=arm.held_out_errors,
        held_out_size=arm.held_out_size,
        p_value=arm.p_value,
        saved=arm.name == results.saved_arm,
        epochs=curves.arm_lines(arm.name),
    )


def _disagreements(arms: list[ArmOutcome], classes: tuple[str, ...]) -> Disagreements | None:
    """The images that arms classify differently, of all folds, one fold after the other."""
    if len(arms) < 2:
        return None
    outcomes = arms[0].tested
    first = np.cumsum([0, *(len(outcome.labels) for outcome in outcomes)])

    def place(index: int) -> tuple[SplitOutcome, int]:
        number = int(np.searchsorted(first, index, side="right")) - 1
        return outcomes[number], index - int(first[number])

    def image(index: int) -> np.ndarray:
        outcome, row = place(index)
        pixels: np.ndarray = outcome.images[row]
        return pixels

    def name(index: int) -> str:
        outcome, row = place(index)
        return outcome.names[row]

    return disagreements(
        np.concatenate([outcome.labels for outcome in outcomes]),
        {
            arm.name: np.concatenate([outcome.probabilities for outcome in arm.tested])
            for arm in arms
        },
        classes,
        image,
        name,
    )
