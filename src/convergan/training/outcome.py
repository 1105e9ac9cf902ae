"""What trained classifiers say of test images, and the numbers that come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from convergan.data.batches import DeviceImages
from convergan.data.image_set import UNLABELLED, DataSet, Images
from convergan.data.test_set import TestSet
from convergan.errors import printable
from convergan.report.inputs import Prediction
from convergan.runs.results import Interval, Results
from convergan.statistics.intervals import wilson
from convergan.training.classify import classify, predicted_classes
from convergan.training.loop import Fitted
from convergan.training.verdict import compare

REPORT_PREDICTIONS = 12
"""Most, and least, certain predictions in the report."""

MOST_LOOKED_AT = 10_000
"""Largest number of unlabelled images that are classified to find those worth labelling."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the trained classifiers said of one split's test images."""

    images: Images
    names: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    wrong: np.ndarray
    baseline_wrong: np.ndarray | None
    confusion: np.ndarray


def outcomes_on(
    test_set: TestSet | None, fitted: Fitted, device: torch.device, resident_bytes: int
) -> list[Outcome]:
    """The outcome on a test set, after training; none where there is no test set."""
    if test_set is None:
        return []
    images = DeviceImages(test_set.images, device, resident_bytes=resident_bytes)
    everything = np.arange(len(test_set))
    logits = classify(fitted.discriminator, images, everything)
    predicted = logits.argmax(dim=1).cpu().numpy()
    baseline_wrong = None
    if fitted.baseline is not None:
        baseline_wrong = test_set.errors(predicted_classes(fitted.baseline, images, everything))
    return [
        Outcome(
            images=test_set.images,
            names=test_set.names,
            labels=test_set.labels_for_report(),
            probabilities=torch.softmax(logits, dim=1).cpu().numpy(),
            wrong=test_set.errors(predicted),
            baseline_wrong=baseline_wrong,
            confusion=test_set.confusion(predicted),
        )
    ]


def tested(results: Results, outcomes: list[Outcome], folds: int) -> Results:
    """The results with what test images decide; of several folds, over all of them."""
    if not outcomes:
        return results
    wrong = np.concatenate([outcome.wrong for outcome in outcomes])
    errors, size = int(wrong.sum()), len(wrong)
    results = replace(
        results,
        folds=folds,
        test_size=size,
        test_errors=errors,
        test_error_rate=errors / size,
        test_interval=Interval(*wilson(errors, size)),
    )
    of_baseline = [o.baseline_wrong for o in outcomes if o.baseline_wrong is not None]
    if not of_baseline:
        return results
    baseline_wrong = np.concatenate(of_baseline)
    baseline_errors = int(baseline_wrong.sum())
    comparison = compare(wrong, baseline_wrong)
    return replace(
        results,
        baseline_test_errors=baseline_errors,
        baseline_test_error_rate=baseline_errors / size,
        baseline_test_interval=Interval(*wilson(baseline_errors, size)),
        decision=comparison.decision,
        p_value=comparison.p_value,
    )


def extremes(
    outcomes: list[Outcome], classes: tuple[str, ...]
) -> tuple[list[Prediction], list[Prediction]]:
    """The most and the least certain predictions on all test images."""
    predictions = []
    for outcome in outcomes:
        chosen = outcome.probabilities.argmax(axis=1)
        confidence = outcome.probabilities.max(axis=1)
        order = np.argsort(confidence, kind="stable")
        for index in {*order[:REPORT_PREDICTIONS].tolist(), *order[-REPORT_PREDICTIONS:].tolist()}:
            predictions.append(
                Prediction(
                    image=outcome.images[index],
                    name=outcome.names[index],
                    predicted=classes[chosen[index]],
                    label=classes[outcome.labels[index]],
                    confidence=float(confidence[index]),
                )
            )
    predictions.sort(key=lambda prediction: prediction.confidence)
    return predictions[::-1][:REPORT_PREDICTIONS], predictions[:REPORT_PREDICTIONS]


def worth_labelling(
    data: DataSet, fitted: Fitted, device: torch.device, seed: int
) -> tuple[list[Prediction], str]:
    """The unlabelled training images that the classifier is least sure of, and a note on their choice.

    Of more than `MOST_LOOKED_AT` so many are, drawn with the seed.
    """
    unlabelled = np.flatnonzero(data.train.labels == UNLABELLED)
    if not data.classes:
        return [], ""
    if len(unlabelled) == 0:
        return (
            [],
            "Every training image has a label in the data already, whether this run used it or not.",
        )
    looked_at = unlabelled
    if len(unlabelled) > MOST_LOOKED_AT:
        drawn = np.random.default_rng(seed).choice(unlabelled, MOST_LOOKED_AT, replace=False)
        looked_at = np.sort(drawn)
    # Batch by batch: the images may be more than the device holds beside the networks.
    images = DeviceImages(data.train.images, device, resident_bytes=0)
    probabilities = torch.softmax(classify(fitted.discriminator, images, looked_at), dim=1)
    confidence, chosen = (part.cpu().numpy() for part in probabilities.max(dim=1))
    predictions = [
        Prediction(
            image=data.train.images[looked_at[place]],
            name=data.train.names[looked_at[place]],
            predicted=data.classes[chosen[place]],
            label=None,
            confidence=float(confidence[place]),
        )
        for place in np.argsort(confidence, kind="stable")[:REPORT_PREDICTIONS]
    ]
    among = f"the {len(unlabelled):,} training images without a label"
    if len(looked_at) < len(unlabelled):
        among = f"{len(looked_at):,} drawn from {among}"
    return predictions, (
        f"Of {among}, the classifier is least sure of these: their labels would tell it most. "
        f"Their files are below {printable(data.source)}."
    )
