"""The trainings of a run, one after the other: folds and result, or the arms and the choice among them."""

from dataclasses import dataclass

import numpy as np

from convergan.distributed import broadcast_object
from convergan.recipes.arms import arm_names, own_arm
from convergan.training.choice import chosen_arm
from convergan.training.loop import Fitted
from convergan.training.outcome import ArmOutcome, SplitOutcome, outcomes_on
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
    """The outcome of all trainings of a run."""

    training: Training
    """The training whose networks are saved."""

    fitted: Fitted
    outcomes: list[SplitOutcome]
    """Outcomes of the saved classifier on test images or, with folds, of the classifiers of the folds."""

    seconds: float
    """Duration of all trainings."""

    arms: list[ArmOutcome]
    """The arms, the recipe's own first; empty in a run without arms."""


def train_folds(trainer: Trainer, preparation: Preparation) -> Trained:
    """Train the folds, if any, then the result on all labels."""
    *folds, result = trainings_of(preparation)
    seconds = 0.0
    outcomes: list[SplitOutcome] = []
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
    """The outcome of the trainings of an arm with held-out labels."""

    outcomes: list[SplitOutcome]
    seconds: float = 0.0

    @property
    def wrong(self) -> np.ndarray:
        return np.concatenate([outcome.wrong for outcome in self.outcomes])


def train_arms(trainer: Trainer, preparation: Preparation) -> Trained:
    """Train each arm on a part of the labels, choose an arm by the others, then train on all labels.

    With a test set, all arms are then trained on all labels and compared on it, after the choice. Without
    one, only the chosen arm is trained on all labels, and the held-out labels estimate the errors.
    """
    names, number = arm_names(preparation.recipe), 0
    held_out: dict[str, _HeldOut] = {}
    for name in names:
        for training in held_out_trainings(preparation, name):
            part = trainer.folder.arm(name).held_out(training.fold)
            fitted = trainer.fit(training, number, part)
            number += 1
            arm_held_out = held_out.setdefault(name, _HeldOut([]))
            arm_held_out.seconds += fitted.train_seconds
            arm_held_out.outcomes += _outcomes(trainer, training, fitted)
    saved = own_arm(preparation.recipe)
    if held_out:
        saved = chosen_arm({name: arm_held_out.wrong for name, arm_held_out in held_out.items()})
    # Weights are the same on all ranks, except perhaps for the last digits on different devices.
    saved = broadcast_object(saved)
    has_test = preparation.data.test is not None
    results: dict[str, tuple[Training, Fitted, list[SplitOutcome]]] = {}
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
    result_seconds = sum(fitted.train_seconds for _, fitted, _ in results.values())
    return Trained(
        training=training,
        fitted=fitted,
        outcomes=next((arm.tested for arm in arms if arm.name == saved), []),
        seconds=sum(arm_held_out.seconds for arm_held_out in held_out.values()) + result_seconds,
        arms=arms,
    )


def _seconds(fitted: Fitted) -> float:
    """Duration of a training, including the work that it shares with others."""
    return fitted.train_seconds + fitted.shared_seconds


def _steps(preparation: Preparation, arm: str) -> int:
    """Steps of each training of an arm with held-out labels."""
    return held_out_trainings(preparation, arm)[0].steps


def _outcomes(trainer: Trainer, training: Training, fitted: Fitted) -> list[SplitOutcome]:
    resident_bytes = training.recipe.data.resident_bytes
    return outcomes_on(training.split.test, fitted, trainer.device, resident_bytes)
