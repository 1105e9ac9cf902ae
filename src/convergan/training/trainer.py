"""Carries out the trainings of a run, each in a folder of its own."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from convergan.distributed import rank
from convergan.files import make_folder
from convergan.recipes.arms import FROZEN
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import sync_metrics
from convergan.training.checkpointing import LoopOptions
from convergan.training.frozen import FrozenNetwork, fit_frozen
from convergan.training.launch import on_rank_zero
from convergan.training.loop import Fitted, Taken, Turn, course, fit
from convergan.training.observer import Observer, Silent
from convergan.training.options import RunOptions
from convergan.training.progress import RunProgress, Shown
from convergan.training.recorder import Display, Recorder
from convergan.training.tensorboard import ScalarLogger
from convergan.training.trainings import Training


@dataclass(kw_only=True)
class Trainer:
    """What all trainings of a run share."""

    device: torch.device
    folder: RunFolder
    """The folder of the run."""

    options: RunOptions
    origin: Mapping[str, str]
    """Identity of the run, by kind, as checkpoints hold it."""

    progress: RunProgress
    step_seconds: Mapping[str, float]
    """Duration of a step by the name of the arm, in a unit that all share; none in a run without arms."""

    stop_requested: Callable[[], bool]

    member: str = ""
    """What the progress calls the member of an ensemble that this is: "member 2 of 10"."""

    earlier: int = 0
    """Number of the trainings that the progress has before these, those of other members."""

    _frozen: FrozenNetwork | None = field(default=None, init=False)
    """What the trainings of the arm `frozen` share."""

    def fit(self, training: Training, number: int, part: RunFolder) -> Fitted:
        """Trains, or goes on, or takes the outcome of what is finished from its last checkpoint.

        Args:
            training: recipe and images.
            number: place of the training among those of the run, from 0.
            part: folder of its checkpoints and metrics.
        """
        recipe, split = training.recipe, training.split
        if training.arm == FROZEN:
            # It takes seconds, and the same weights come of it each time.
            if rank() == 0:
                name = training.title.removesuffix(": epoch")
                self.progress.say(f"{name}: features of {len(split.training.labelled):,} images")
            self._frozen = self._frozen or FrozenNetwork(self.device, recipe, split.training)
            return fit_frozen(self.device, recipe, split.training, network=self._frozen)
        if part is not self.folder:
            on_rank_zero(partial(make_folder, part.path))
        options = self._options(training, part)

        def fit_with(observer: Observer) -> Fitted:
            return fit(
                self.device,
                recipe,
                split.training,
                checkpoints=part.checkpoints,
                observer=observer,
                options=options,
            )

        if rank() != 0:
            return fit_with(Silent())
        shown = shown_of(training, self.step_seconds, self.member)
        with self.progress.training(self.earlier + number, shown) as progress:
            return fit_with(self._recorder(training, part, progress))

    def course(
        self,
        training: Training,
        part: RunFolder,
        display: Display,
        due: Callable[[], bool],
        time_share: float,
    ) -> Generator[Turn, Taken, Fitted]:
        """The course of a training whose steps somebody else takes, together with those of others.

        Args:
            training, part: as in `fit`.
            display: shown its progress.
            due: whether a checkpoint is due, asked between steps.
            time_share: share of the time that passes which counts as this training's.
        """
        make_folder(part.path)
        return course(
            self.device,
            training.recipe,
            training.split.training,
            checkpoints=part.checkpoints,
            observer=self._recorder(training, part, display),
            options=replace(self._options(training, part), due=due, time_share=time_share),
        )

    def _options(self, training: Training, part: RunFolder) -> LoopOptions:
        origin = {**self.origin, "fold": "" if training.stage == "result" else part.path.name}
        if training.arm is not None:
            origin["arm"] = training.arm
        return LoopOptions(
            checkpoint_every_seconds=self.options.checkpoint_every_seconds,
            roll_back=self.options.on_divergence == "rollback",
            stop_requested=self.stop_requested,
            origin=origin,
            before_checkpoint=lambda: sync_metrics(part.metrics),
        )

    def _recorder(self, training: Training, part: RunFolder, display: Display) -> Recorder:
        recipe = training.recipe
        logger = None
        if self.options.logger == "tensorboard":
            logger = ScalarLogger(part.tensorboard)
        return Recorder(
            part,
            test=training.split.test,
            epochs=recipe.epochs,
            seed=recipe.seed,
            device=self.device,
            resident_bytes=recipe.data.resident_bytes,
            progress=display,
            logger=logger,
        )


def shown_of(training: Training, step_seconds: Mapping[str, float], member: str = "") -> Shown:
    """How the progress shows a training.

    Args:
        training: recipe, images and title.
        step_seconds: duration of a step by the name of the arm, in a unit that all share.
        member: what it calls the member of an ensemble that the training is of.
    """
    # "member 2 of 10: epoch", "member 2 of 10, fold 1 of 4: epoch".
    own = training.title if training.title != "epoch" else ""
    joint = ", " if own else ": epoch"
    return Shown(
        title=f"{member}{joint}{own}" if member else training.title,
        epochs=training.recipe.epochs,
        steps=training.steps,
        step_cost=1.0 if training.arm is None else step_seconds[training.arm],
    )
