"""Outputs of trained classifiers for test images, and the results computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.data.image_set import UNLABELLED, DataSet, Images
from convergan.data.test_set import TestSet
from convergan.errors import printable
from convergan.networks.ensemble import averaged_logits
from convergan.recipes.arms import BASELINE
from convergan.report.inputs import Prediction
from convergan.runs.results import ArmResult, RateInterval, Results
from convergan.statistics.intervals import wilson
from convergan.training.choice import IntervalMethod, compared
from convergan.training.classify import classify
from convergan.training.loop import Fitted
from convergan.training.verdict import compare, decided

REPORT_PREDICTIONS = 12
"""Number of the most certain, and of the least certain, predictions in the report."""

SURE = 0.9
"""Probability from which a prediction counts as certain. A mistake among others is no surprise."""

MOST_LOOKED_AT = 10_000
"""Largest number of unlabelled images that are classified to find those worth labelling."""


@dataclass(frozen=True, kw_only=True)
class SplitOutcome:
    """The outputs of the trained classifiers for the test images of one split."""

    test_set: TestSet
    logits: Float32[Tensor, "images classes"]
    """Logits of the classifier, on the CPU."""

    baseline_logits: Float32[Tensor, "images classes"] | None
    """Logits of the baseline; None if none was trained."""

    @property
    def images(self) -> Images:
        """The test images, uint8 [images, height, width, channels]."""
        return self.test_set.images

    @property
    def names(self) -> Sequence[str]:
        """The name of each image."""
        return self.test_set.names

    @cached_property
    def labels(self) -> np.ndarray:
        """True classes, int64 [images]."""
        return self.test_set.labels_for_report()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Class probabilities, float32 [images, classes]."""
        probabilities: np.ndarray = torch.softmax(self.logits, dim=1).numpy()
        return probabilities

    @cached_property
    def wrong(self) -> np.ndarray:
        """Errors of the classifier, bool [images]: True where it is wrong."""
        return self.test_set.errors(self._predicted)

    @cached_property
    def baseline_wrong(self) -> np.ndarray | None:
        """Errors of the baseline, bool [images]: True where it is wrong; None if none was trained."""
        if self.baseline_logits is None:
            return None
        return self.test_set.errors(self.baseline_logits.argmax(dim=1).numpy())

    @property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, int64 [classes, classes]: numbers of images of class i classified as class j."""
        return self.test_set.confusion(self._predicted)

    @property
    def _predicted(self) -> np.ndarray:
        predicted: np.ndarray = self.logits.argmax(dim=1).numpy()
        return predicted


def outcomes_on(
    test_set: TestSet | None, fitted: Fitted, device: torch.device, resident_bytes: int
) -> list[SplitOutcome]:
    """The outcome on a test set, after training; empty if there is no test set."""
    if test_set is None:
        return []
    images = DeviceImages(test_set.images, device, resident_bytes=resident_bytes)
    indices = np.arange(len(test_set))
    baseline = fitted.baseline
    return [
        SplitOutcome(
            test_set=test_set,
            logits=classify(fitted.discriminator, images, indices),
            baseline_logits=None if baseline is None else classify(baseline, images, indices),
        )
    ]


def averaged_outcome(members: Sequence[SplitOutcome]) -> SplitOutcome:
    """The outcome of an ensemble that averages the members, and of one that averages their baselines."""
    baselines = [member.baseline_logits for member in members if member.baseline_logits is not None]
    return SplitOutcome(
        test_set=members[0].test_set,
        logits=averaged_logits([member.logits for member in members]),
        baseline_logits=averaged_logits(baselines) if baselines else None,
    )


def tested(results: Results, outcomes: list[SplitOutcome], folds: int) -> Results:
    """The results with errors and comparisons on the test images, over all folds if there are several."""
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
        test_interval=RateInterval(*wilson(errors, size)),
    )
    baseline_outcomes = [o.baseline_wrong for o in outcomes if o.baseline_wrong is not None]
    if not baseline_outcomes:
        return results
    baseline_wrong = np.concatenate(baseline_outcomes)
    baseline_errors = int(baseline_wrong.sum())
    comparison = compare(wrong, baseline_wrong)
    return replace(
        results,
        baseline_test_errors=baseline_errors,
        baseline_test_error_rate=baseline_errors / size,
        baseline_test_interval=RateInterval(*wilson(baseline_errors, size)),
        decision=comparison.decision,
        p_value=comparison.p_value,
    )


@dataclass(frozen=True, kw_only=True)
class ArmOutcome:
    """The outcome of one arm of a run."""

    name: str
    steps: int
    seconds: float
    """Duration of the training on all labels if there is a test set, otherwise of the trainings with held-out
    labels."""

    tested: list[SplitOutcome]
    """Outcomes on the test set or, if there is none, on the held-out labelled images."""

    tested_on_held_out: bool
    """True if `tested` is on the held-out labelled images, which also choose among several arms."""

    held_out_wrong: np.ndarray | None
    """Errors on the held-out labelled images, bool [images]: True where it is wrong; None if none were held
    out."""

    @property
    def wrong(self) -> np.ndarray:
        """Errors on the images of `tested`, bool [images]: True where it is wrong."""
        return np.concatenate([outcome.wrong for outcome in self.tested])


def with_arms(results: Results, arms: Sequence[ArmOutcome], *, saved: str | None) -> Results:
    """The results with those of several arms, of which one is saved."""
    if saved is None or not all(arm.tested for arm in arms) or not arms:
        return results
    wrong = {arm.name: arm.wrong for arm in arms}
    on_held_out = any(arm.tested_on_held_out for arm in arms)
    method = IntervalMethod(len(arms) if on_held_out else 1)
    comparisons = compared(wrong)
    p_values = {
        pair.second if pair.first == saved else pair.first: pair.p_value
        for pair in comparisons
        if saved in (pair.first, pair.second)
    }

    def result(arm: ArmOutcome) -> ArmResult:
        errors, held_out = int(wrong[arm.name].sum()), arm.held_out_wrong
        size = len(wrong[arm.name])
        return ArmResult(
            name=arm.name,
            test_errors=errors,
            test_error_rate=errors / size,
            interval=method(errors, size),
            minutes=arm.seconds / 60,
            steps=arm.steps,
            held_out_errors=None if held_out is None else int(held_out.sum()),
            held_out_size=None if held_out is None else len(held_out),
            p_value=p_values.get(arm.name),
        )

    arm_results = {arm.name: result(arm) for arm in arms}
    results = replace(
        results,
        test_interval=arm_results[saved].interval,
        arms=tuple(arm_results.values()),
        saved_arm=saved,
        comparisons=comparisons,
        interval_method=method.words,
        tested_on_held_out=on_held_out,
    )
    baseline, own = arm_results.get(BASELINE), arms[0].name
    if baseline is None or own == BASELINE:
        return results
    # The recipe's own model comes before the baseline in each pair.
    own_pair = next(pair for pair in comparisons if (pair.first, pair.second) == (own, BASELINE))
    comparison = decided(own_pair.only_first_wrong, own_pair.only_second_wrong, own_pair.p_value)
    return replace(
        results,
        baseline_test_errors=baseline.test_errors,
        baseline_test_error_rate=baseline.test_error_rate,
        baseline_test_interval=baseline.interval,
        decision=comparison.decision,
        p_value=comparison.p_value,
    )


def extremes(
    outcomes: list[SplitOutcome], classes: tuple[str, ...]
) -> tuple[list[Prediction], list[Prediction]]:
    """The most and the least certain predictions on all test images: each at most half of them, and none that
    is less than `SURE` among the most certain.
    """
    predictions = []
    for outcome in outcomes:
        predicted = outcome.probabilities.argmax(axis=1)
        confidence = outcome.probabilities.max(axis=1)
        order = np.argsort(confidence, kind="stable")
        for index in {*order[:REPORT_PREDICTIONS].tolist(), *order[-REPORT_PREDICTIONS:].tolist()}:
            predictions.append(
                Prediction(
                    image=outcome.images[index],
                    name=outcome.names[index],
                    predicted=classes[predicted[index]],
                    label=classes[outcome.labels[index]],
                    confidence=float(confidence[index]),
                )
            )
    predictions.sort(key=lambda prediction: prediction.confidence)
    certain = min(REPORT_PREDICTIONS, len(predictions) // 2)
    uncertain = min(REPORT_PREDICTIONS, len(predictions) - certain)
    return (
        [prediction for prediction in predictions[::-1][:certain] if prediction.confidence >= SURE],
        predictions[:uncertain],
    )


def worth_labelling(
    data: DataSet, fitted: Fitted, device: torch.device, seed: int
) -> tuple[list[Prediction], str]:
    """The unlabelled training images of which the classifier is least certain, and a note on their choice.

    If there are more than `MOST_LOOKED_AT` unlabelled images, only so many, drawn with the seed, are
    classified.
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
        selection = np.random.default_rng(seed).choice(unlabelled, MOST_LOOKED_AT, replace=False)
        looked_at = np.sort(selection)
    # Batch by batch: the images may not fit on the device together with the networks.
    images = DeviceImages(data.train.images, device, resident_bytes=0)
    probabilities = torch.softmax(classify(fitted.discriminator, images, looked_at), dim=1)
    confidence, predicted = (part.cpu().numpy() for part in probabilities.max(dim=1))
    predictions = [
        Prediction(
            image=data.train.images[looked_at[index]],
            name=data.train.names[looked_at[index]],
            predicted=data.classes[predicted[index]],
            label=None,
            confidence=float(confidence[index]),
        )
        for index in np.argsort(confidence, kind="stable")[:REPORT_PREDICTIONS]
    ]
    pool = f"the {len(unlabelled):,} training images without a label"
    if len(looked_at) < len(unlabelled):
        pool = f"{len(looked_at):,} drawn from {pool}"
    return predictions, (
        f"Of {pool}, the classifier is least certain of these: their labels would help it most. "
        f"Their files are below {printable(data.source)}."
    )
