"""One addend of a player's loss, and what it is computed from."""

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
"""All that a term can see: the discriminator's logits and features of a group of images, those of the
averaged discriminator, and the history of the player's weights."""

NEEDS_OF_PLAYER = {
    "discriminator": NEEDS,
    "generator": frozenset({UNLABELLED, GENERATED, HISTORY}),
    "baseline": frozenset({LABELLED, HISTORY}),
}
"""What the terms of each player can see in its step. The baseline is the same discriminator, trained on the
labelled images alone."""

PLAYERS = tuple(NEEDS_OF_PLAYER)
"""Names of the players."""


@dataclass(frozen=True, kw_only=True)
class TermOutputs:
    """What the terms of one player see in one step."""

    groups: Mapping[str, DiscriminatorOutput]
    """Logits, in float32, and features by the name of a group."""

    labels: Int64[Tensor, "labelled"] | None = None
    """The classes of the group `labelled`."""

    teacher: DiscriminatorOutput | None = None
    """What the average of the discriminator's weights says of the group `unlabelled`: in evaluation mode and
    without gradient."""

    history: HistoricalAveraging | None = None
    """The past of the player's own weights."""

    progress: float = 0.0
    """Share of the training's steps that are done, in [0, 1)."""

    def __getitem__(self, group: str) -> DiscriminatorOutput:
        if group not in self.groups:
            raise LookupError(
                f"{group}: expected one of {', '.join(self.groups)}, which is what these terms need;"
                " a term lists all that it looks at in `needs`"
            )
        return self.groups[group]


@dataclass(frozen=True, kw_only=True)
class TermContext:
    """What terms know of a training before its first step."""

    labels_of_class: tuple[int, ...]
    """Number of labelled images of each class. Their length is the number of logits: 1 where no classes are
    learnt."""

    device: torch.device
    """Device that the training is on."""


class Term(ABC):
    """One addend of a player's loss: `weight` times its value; 0 is off.

    A subclass sets the class variables and computes the value. `register_term` makes it known. Every player
    of every training has an instance of its own.

    Args:
        settings: the weight, and whatever else the subclass of `TermSettings` has.
    """

    name: ClassVar[str]
    """Name of the term: in `objective.<name>` of a recipe, and of the losses in metrics.jsonl."""

    settings_class: ClassVar[type[TermSettings]]
    """The dataclass of the term's settings."""

    players: ClassVar[frozenset[str]]
    """The players whose losses it is an addend of."""

    needs: frozenset[str]
    """What it looks at, of `NEEDS`; the loop prepares what the terms need, and nothing else. Where that
    depends on the settings, the class has all, and `__init__` sets those that an instance needs.

    In the discriminator's step everything can be needed; in the baseline's `labelled` and `history`; in the
    generator's `unlabelled`, without gradient, `generated` and `history`."""

    needs_classes: ClassVar[bool] = False
    """Whether its value means something only where classes are learnt, as that of a term that looks at
    `labelled`: elsewhere a weight above 0 is an error."""

    is_regularizer: ClassVar[bool] = False
    """Whether it only shapes what others teach: a player needs another term, too."""

    def __init__(self, settings: TermSettings) -> None:
        self.settings = settings

    @property
    def needs_gradient_of(self) -> frozenset[str]:
        """The groups of `needs` whose outputs the value is differentiated through: all, unless a subclass
        knows better. A step can do without the gradient of a group that no term has here."""
        return self.needs

    def begin(self, context: TermContext) -> nn.Module | None:
        """Prepares a training, before its first step or before it goes on.

        Returns:
            What the term remembers from step to step, as the buffers of a module that it keeps; None:
            nothing. The loop moves it to its device, keeps it in checkpoints, and goes back to it with
            everything else. All ranks must change it alike.
        """
        return None

    def weight_at(self, progress: float) -> float:
        """The weight at a point of the training: that of the settings, which rises if they are ramped.

            weight_at(progress) = settings.weight min(1, progress / settings.ramp)

        Args:
            progress: the share of the steps that are done, in [0, 1).
        """
        settings = self.settings
        if isinstance(settings, RampedTermSettings) and progress < settings.ramp:
            return settings.weight * progress / settings.ramp
        return settings.weight

    @abstractmethod
    def __call__(self, outputs: TermOutputs) -> Float[Tensor, ""] | dict[str, Float[Tensor, ""]]:
        """The value before the weight; or its parts by name, whose sum is the value."""

    def weighted_parts(self, outputs: TermOutputs) -> dict[str, Float[Tensor, ""]]:
        """The parts of the value, each multiplied by the weight; one without parts has the term's name."""
        value = self(outputs)
        parts = value if isinstance(value, dict) else {self.name: value}
        for name, part in parts.items():
            if not isinstance(part, Tensor) or part.ndim:
                got = f"shape {tuple(part.shape)}" if isinstance(part, Tensor) else quoted(part)
                raise UserError(
                    f"objective.{self.name}: expected one number in a tensor as {name}, got {got}"
                )
        weight = self.weight_at(outputs.progress)
        # A step of small networks notices each operation.
        return parts if weight == 1 else {name: weight * part for name, part in parts.items()}
