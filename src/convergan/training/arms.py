"""The trainings of a run one after the other: folds and result, or the arms and the choice among them."""

from dataclasses import dataclass

import numpy as np

from convergan.distributed import broadcast_object
from convergan.recipes.arms import arm_names, own_arm
from convergan.training.choice import chosen_arm
from convergan.training.loop import Fitted
from convergan.training.outcome import ArmOutcome, Outcome, outcomes_on
from convergan.training.preparation import Preparation
from convergan.training.trainer import Trainer
from convergan.training.trainings import (
    Training,
    held_out_trainings,
    result_training,
    trainings_of,
)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What all trainings of a run came to."""

    training: Training
    """The one whose networks are saved."""

    fitted: Fitted
    outcomes: list[Outcome]
    """On test images, of the classifier that is saved; with folds, of their classifiers."""

    seconds: float
    """Duration of all trainings."""

    arms: list[ArmOutcome]
    """The arms, the recipe's own first; none in a run without."""


def train_folds(trainer: Trainer, preparation: Preparation) -> Trained:
    """Trains the folds, if any, then the result, on all labels."""
    *folds, result = trainings_of(preparation)
    seconds = 0.0
    outcomes: list[Outcome] = []
    for number, training in enumerate(folds):
        fitted = trainer.fit(training, number, trainer.folder.fold(training.fold))
        seconds += fitted.train_seconds
        outcomes += _outcomes(trainer, training, fitted)
    fitted = trainer.fit(result, len(folds), trainer.folder)
    outcomes += _outcomes(trainer, result, fitted)
    return Trained(
        training=result,
        fitted=fitted,
        outcomes=outcomes,
        seconds=seconds + fitted.train_seconds,
        arms=[],
    )


@dataclass
class _HeldOut:
    """What the trainings of an arm that hold labels out came to."""

    outcomes: list[Outcome]
    seconds: float = 0.0

    @property
    def wrong(self) -> np.ndarray:
        return np.concatenate([outcome.wrong for outcome in self.outcomes])


def train_arms(trainer: Trainer, preparation: Preparation) -> Trained:
    """Trains each arm on a part of the labels, chooses by the others, then trains on all labels.

    With a test set all arms are trained on all labels, to be compared on it; the choice has been made by
    then. Without one the chosen arm alone is, and the labels that were held out estimate the errors.
    """
    names, number = arm_names(preparation.recipe), 0
    held_out: dict[str, _HeldOut] = {}
    for name in names:
        for training in held_out_trainings(preparation, name):
            part = trainer.folder.arm(name).held_out(training.fold)
            fitted = trainer.fit(training, number, part)
            number += 1
            found = held_out.setdefault(name, _HeldOut([]))
            found.seconds += fitted.train_seconds
            found.outcomes += _outcomes(trainer, training, fitted)
    saved = own_arm(preparation.recipe)
    if held_out:
        saved = chosen_arm({name: found.wrong for name, found in held_out.items()})
    # Weights are the same on all ranks, their last digits on different devices may not be.
    saved = broadcast_object(saved)
    has_test = preparation.data.test is not None
    results: dict[str, tuple[Training, Fitted, list[Outcome]]] = {}
    for name in names if has_test else (saved,):
        training = result_training(preparation, name)
        part = trainer.folder if name == saved else trainer.folder.arm(name)
        fitted = trainer.fit(training, number, part)
        number += 1
        results[name] = training, fitted, _outcomes(trainer, training, fitted)
    arms = [
        ArmOutcome(
            name=name,
            steps=results[name][0].steps if has_test else _steps(preparation, name),
            seconds=_seconds(results[name][1]) if has_test else held_out[name].seconds,
            tested=results[name][2] if has_test else held_out[name].outcomes,
            tested_on_held_out=not has_test,
            held_out_wrong=held_out[name].wrong if held_out else None,
        )
        for name in names
        if has_test or held_out
    ]
    training, fitted, _ = results[saved]
    of_results = sum(each.train_seconds for _, each, _ in results.values())
    return Trained(
        training=training,
        fitted=fitted,
        outcomes=next((arm.tested for arm in arms if arm.name == saved), []),
        seconds=sum(found.seconds for found in held_out.values()) + of_results,
        arms=arms,
    )


def _seconds(fitted: Fitted) -> float:
    """Duration of a training as if there had been no other before it."""
    return fitted.train_seconds + fitted.shared_seconds


def _steps(preparation: Preparation, arm: str) -> int:
    """Steps of each of an arm's trainings that hold labels out."""
    return held_out_trainings(preparation, arm)[0].steps


def _outcomes(trainer: Trainer, training: Training, fitted: Fitted) -> list[Outcome]:
    resident_bytes = training.recipe.data.resident_bytes
    return outcomes_on(training.split.test, fitted, trainer.device, resident_bytes)
