"""Trainer of a run, which carries out each training in a folder of its own."""

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
from convergan.training.loop import Fitted, StepResult, Turn, course, fit
from convergan.training.observer import Observer, Silent
from convergan.training.options import RunOptions
from convergan.training.progress import ProgressEntry, RunProgress
from convergan.training.recorder import Display, Recorder
from convergan.training.tensorboard import ScalarLogger
from convergan.training.trainings import Training


@dataclass(kw_only=True)
class Trainer:
    """Trainer of a run, with everything that its trainings share."""

    device: torch.device
    folder: RunFolder
    """The folder of the run."""

    options: RunOptions
    origin: Mapping[str, str]
    """Identity of the run, by kind, for checkpoints."""

    progress: RunProgress
    step_seconds: Mapping[str, float]
    """Duration of a step by the name of the arm, in a unit that all arms share; empty in a run without
    arms."""

    stop_requested: Callable[[], bool]

    member: str = ""
    """Title of the member of an ensemble in the progress, such as "member 2 of 10"; empty if there is no
    ensemble."""

    earlier: int = 0
    """Number of earlier trainings in the progress, which are those of other members."""

    _frozen: FrozenNetwork | None = field(default=None, init=False)
    """The network and the features that the trainings of the arm `frozen` share."""

    def fit(self, training: Training, number: int, part: RunFolder) -> Fitted:
        """Train, continue, or restore the outcome of a finished training from its last checkpoint.

        Args:
            training: recipe and images.
            number: index of the training among those of the run, from 0.
            part: folder of its checkpoints and metrics.
        """
        recipe, split = training.recipe, training.split
        if training.arm == FROZEN:
            # This takes seconds, and leads to the same weights each time.
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
        entry = progress_entry(training, self.step_seconds, self.member)
        with self.progress.training(self.earlier + number, entry) as progress:
            return fit_with(self._recorder(training, part, progress))

    def course(
        self,
        training: Training,
        part: RunFolder,
        display: Display,
        due: Callable[[], bool],
        time_share: float,
    ) -> Generator[Turn, StepResult, Fitted]:
        """The course of a training (`loop.course`), for taking its steps together with those of other
        trainings.

        Args:
            training, part: as in `fit`.
            display: display of its progress.
            due: function that returns True if a checkpoint is due; called between steps.
            time_share: share of the elapsed time that counts as this training's.
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


def progress_entry(
    training: Training, step_seconds: Mapping[str, float], member: str = ""
) -> ProgressEntry:
    """The entry of a training in the progress.

    Args:
        training: recipe, images and title.
        step_seconds: duration of a step by the name of the arm, in a unit that all arms share.
        member: title of the member of an ensemble that the training belongs to.
    """
    # "member 2 of 10: epoch", "member 2 of 10, fold 1 of 4: epoch".
    own = training.title if training.title != "epoch" else ""
    joint = ", " if own else ": epoch"
    return ProgressEntry(
        title=f"{member}{joint}{own}" if member else training.title,
        epochs=training.recipe.epochs,
        steps=training.steps,
        step_cost=1.0 if training.arm is None else step_seconds[training.arm],
    )
