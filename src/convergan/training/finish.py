"""The end of a run: its model, its report and, last, its results."""

from collections.abc import Mapping

import numpy as np
import torch

from convergan.networks.pixels import to_uint8
from convergan.recipes.files import recipe_to_dict
from convergan.report.inputs import ReportInputs
from convergan.runs.epochs import EpochLine, with_errors_of
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.model import ModelConfig, save_model
from convergan.runs.results import Results, write_results
from convergan.training.health import can_be_judged
from convergan.training.loop import Fitted
from convergan.training.outcome import Outcome, extremes, worth_labelling
from convergan.training.preparation import Preparation, image_shape
from convergan.training.samples import fixed_samples
from convergan.training.summary import data_rows
from convergan.training.verdict import verdict_sentence

REPORT_IMAGES = 64
"""Samples, and images of the data beside them, in the report."""


def write_end(
    folder: RunFolder,
    preparation: Preparation,
    fitted: Fitted,
    results: Results,
    outcomes: list[Outcome],
    *,
    device: torch.device,
    origin: Mapping[str, str],
) -> None:
    """Writes model/, report.html and, as the mark of a finished run, results.json.

    Args:
        folder: of the run, with the metrics and the manifest of its training.
        preparation: what was trained.
        fitted: the training whose networks are kept.
        results: what it came to.
        outcomes: what the classifiers said of the test images; none where there are none.
        device: where the networks are.
        origin: what they were trained on, as `save_model` takes it.

    Raises:
        UserError: a file cannot be written, such as to a disk that is full.
    """
    # Figures take long to load, and only the end of a run has any.
    from convergan.report.page import write_report

    recipe, data = preparation.recipe, preparation.data
    config = ModelConfig(
        networks=recipe.networks,
        image_shape=image_shape(data),
        classes=data.classes,
        resized=recipe.data.size_px is not None,
        has_generator=fitted.generator is not None,
    )
    save_model(folder, config, fitted.discriminator, fitted.generator, origin)
    inputs = _report_inputs(folder, preparation, fitted, results, outcomes, device)
    write_report(folder.report, inputs)
    write_results(folder.results, results)


def _report_inputs(
    folder: RunFolder,
    preparation: Preparation,
    fitted: Fitted,
    results: Results,
    outcomes: list[Outcome],
    device: torch.device,
) -> ReportInputs:
    recipe, data = preparation.recipe, preparation.data
    epochs = _epochs(folder, len(preparation.folds))
    generated = None
    if fitted.generator is not None:
        samples = fixed_samples(fitted.generator, REPORT_IMAGES, recipe.seed)
        generated = to_uint8(samples, fitted.generator.pixel_range).cpu().numpy()
    shown = np.random.default_rng(recipe.seed).permutation(len(data.train.images))
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
        real_images=data.train.images[np.sort(shown[:REPORT_IMAGES])],
        generated_images=generated,
        most_certain=certain,
        least_certain=uncertain,
        worth_labelling=labelling,
        worth_labelling_note=labelling_note,
        data=data_rows(preparation),
        judged=can_be_judged(recipe.epochs),
    )


def _epochs(folder: RunFolder, folds: int) -> list[EpochLine]:
    """The epochs of the result; with folds, the errors of all of them together."""
    of_folds = [
        {line.epoch: line for line in read_metrics(folder.fold(number + 1).metrics)}
        for number in range(folds)
    ]
    return [
        with_errors_of(line, [fold.get(line.epoch) for fold in of_folds])
        for line in read_metrics(folder.metrics)
    ]
