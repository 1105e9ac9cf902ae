"""Terms: addends of a player's loss, and their inputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from convergan.errors import UserError, quoted
from convergan.networks.interface import DiscriminatorOutput
from convergan.recipes.terms import RampedTermSettings, TermSettings
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.training.batch import GENERATED, GROUPS, LABELLED, UNLABELLED

TEACHER, HISTORY = "teacher", "history"
NEEDS = frozenset({*GROUPS, TEACHER, HISTORY})
"""Possible inputs of a term: the discriminator's logits and features for a group of images, those of the
discriminator's EMA weights, and the history of the player's weights."""

NEEDS_OF_PLAYER = {
    "discriminator": NEEDS,
    "generator": frozenset({UNLABELLED, GENERATED, HISTORY}),
    "baseline": frozenset({LABELLED, HISTORY}),
}
"""Inputs that are available to the terms of each player. The baseline is the same network as the
discriminator, trained only on labelled images."""

PLAYERS = tuple(NEEDS_OF_PLAYER)
"""Names of the players."""


@dataclass(frozen=True, kw_only=True)
class TermOutputs:
    """Inputs of the terms of one player in one step."""

    groups: Mapping[str, DiscriminatorOutput]
    """Logits, in float32, and features, by the name of a group."""

    labels: Int64[Tensor, "labelled"] | None = None
    """Classes of the group `labelled`."""

    teacher: DiscriminatorOutput | None = None
    """Output of the discriminator's EMA weights for the group `unlabelled`, in evaluation mode and without
    gradient."""

    history: HistoricalAveraging | None = None
    """History of the player's own weights."""

    progress: float = 0.0
    """Share of the training's steps that are done, in [0, 1)."""

    def __getitem__(self, group: str) -> DiscriminatorOutput:
        if group not in self.groups:
            raise LookupError(
                f"{group}: expected one of {', '.join(self.groups)}, which these terms need;"
                " a term lists all its inputs in `needs`"
            )
        return self.groups[group]


@dataclass(frozen=True, kw_only=True)
class TermContext:
    """Facts about a training that terms can use before its first step."""

    labels_of_class: tuple[int, ...]
    """Numbers of labelled images of each class. The length is the number of logits, which is 1 if no classes
    are learnt."""

    device: torch.device
    """Device of the training."""


class Term(ABC):
    """One addend of a player's loss: its value times its weight. A weight of 0 turns it off.

    A subclass sets the class variables and computes the value; `register_term` registers it. Every player of
    every training has its own instance.

    Args:
        settings: the weight, and the other fields of a subclass of `TermSettings`.
    """

    name: ClassVar[str]
    """Name of the term, as in `objective.<name>` of a recipe and in the losses of metrics.jsonl."""

    settings_class: ClassVar[type[TermSettings]]
    """Dataclass of the term's settings."""

    players: ClassVar[frozenset[str]]
    """Players whose losses contain the term."""

    needs: frozenset[str]
    """Inputs of the term, a subset of `NEEDS`. The loop prepares only what the terms need. If the inputs
    depend on the settings, the class lists all, and `__init__` sets those of the instance.

    All inputs are available in the discriminator's step; `labelled` and `history` in the baseline's;
    `generated`, `history` and, without gradient, `unlabelled` in the generator's."""

    needs_classes: ClassVar[bool] = False
    """True if the value is meaningful only when classes are learnt, as for a term that uses `labelled`;
    otherwise a weight above 0 is an error."""

    is_regularizer: ClassVar[bool] = False
    """True if the term is not enough to train a player, which then also needs another term."""

    def __init__(self, settings: TermSettings) -> None:
        self.settings = settings

    @property
    def needs_gradient_of(self) -> frozenset[str]:
        """The groups of `needs` through whose outputs the value is differentiated; by default all.

        A step computes no gradient of a group that no term lists here.
        """
        return self.needs

    def begin(self, context: TermContext) -> nn.Module | None:
        """Prepare a training, before its first step or before it continues.

        Returns:
            The state of the term, which changes from step to step, as buffers of a module that the term
            keeps; None if it has no state. The loop moves it to the device, saves it in checkpoints, and
            restores it with the rest. All ranks must change it alike.
        """
        return None

    def weight_at(self, progress: float) -> float:
        """The weight at a point of the training: that of the settings, which rises from 0 if they have a
        ramp.

            weight_at(progress) = settings.weight min(1, progress / settings.ramp)

        Args:
            progress: share of the steps that are done, in [0, 1).
        """
        settings = self.settings
        if isinstance(settings, RampedTermSettings) and progress < settings.ramp:
            return settings.weight * progress / settings.ramp
        return settings.weight

    @abstractmethod
    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""] | dict[str, Float[Tensor, ""]]:
        """The value without the weight, or its parts by name, whose sum is the value."""

    def weighted_parts(self, outputs: TermOutputs) -> dict[str, Float[Tensor, ""]]:
        """The parts of the value, each multiplied by the weight. A value without parts has the term's
        name.
        """
        value = self(outputs)
        parts = value if isinstance(value, dict) else {self.name: value}
        for name, part in parts.items():
            if not isinstance(part, Tensor) or part.ndim:
                part_in_words = (
                    f"shape {tuple(part.shape)}" if isinstance(part, Tensor) else quoted(part)
                )
                raise UserError(
                    f"objective.{self.name}: expected one number in a tensor as {name}, got {part_in_words}"
                )
        weight = self.weight_at(outputs.progress)
        # In a step of small networks, each operation counts.
        return parts if weight == 1 else {name: weight * part for name, part in parts.items()}
