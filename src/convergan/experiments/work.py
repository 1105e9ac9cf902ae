"""The work of one cell, done in a process of its own: training, averaging, scoring, timing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from convergan.errors import UserError, file_problem, one_line
from convergan.experiments.cells import Cell, Ensemble, Scoring, Training
from convergan.files import make_folder
from convergan.json_files import json_values
from convergan.recipes.files import recipe_from_dict, recipe_to_dict
from convergan.recipes.settings import Recipe
from convergan.scoring.settings import ScoreSettings

JobKind = Literal["train", "average", "score", "time"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Task of a worker, in plain values that can be sent to any process."""

    kind: JobKind
    name: str
    recipe: Mapping[str, Any]
    """Settings, as returned by `recipe_to_dict`."""

    folder: str
    """Folder in which the cell is computed."""

    log: str
    """File to which the output is appended."""

    sha256: str = ""
    checkpoint_every_seconds: float = 30.0
    members: tuple[str, ...] = ()
    """Run folders of an ensemble's members, or of the generator that is scored."""

    scoring: Mapping[str, Any] | None = None
    """The settings of a score."""

    real: bool = False
    """The training images are scored, not the samples of a generator."""

    weights: str | None = None
    """File of the Inception network's weights."""

    @property
    def threads(self) -> int:
        """Number of CPU threads that it uses."""
        return int(self.recipe["hardware"]["threads"] or 1)

    @property
    def uses_gpu(self) -> bool:
        """True if it computes on a GPU where there is one; averaging, which uses each test image once, does
        so only if the recipe asks for it.
        """
        accelerator = self.recipe["hardware"]["accelerator"]
        return self.kind != "average" or accelerator not in ("auto", "cpu")


def job_of(
    cell: Cell,
    folder: Path,
    log: Path,
    *,
    members: tuple[Path, ...] = (),
    checkpoint_every_seconds: float = 30.0,
    weights: Path | None = None,
) -> Job:
    """The work of a cell.

    Args:
        cell: the cell.
        folder: folder in which it is computed.
        log: file for its output.
        members: folders of the cells that it needs.
        checkpoint_every_seconds: most training time, in seconds, that a killed training loses.
        weights: file of the Inception network's weights.
    """
    kinds: dict[type[Cell], JobKind] = {Training: "train", Ensemble: "average", Scoring: "score"}
    return Job(
        kind=kinds[type(cell)],
        name=cell.name,
        recipe=recipe_to_dict(cell.recipe),
        folder=str(folder.absolute()),
        log=str(log.absolute()),
        sha256=cell.sha256,
        checkpoint_every_seconds=checkpoint_every_seconds,
        members=tuple(str(member.absolute()) for member in members),
        weights=None if weights is None else str(weights.absolute()),
        **_scoring(cell),
    )


def timing_job(cell: Training | Scoring, name: str, log: Path) -> Job:
    """The work of timing a few steps of a training, or a few images of a score."""
    return Job(
        kind="time",
        name=name,
        recipe=recipe_to_dict(cell.recipe),
        folder="",
        log=str(log.absolute()),
        **_scoring(cell),
    )


def _scoring(cell: Cell) -> dict[str, Any]:
    """The fields of a job that only scores have."""
    if not isinstance(cell, Scoring):
        return {}
    return {"scoring": json_values(cell.settings), "real": cell.real}


Ending = Literal["done", "failed", "stopped", "busy", "out of memory"]
"""End of a job: `stopped` by a signal, with a checkpoint to continue from; `busy`: another process trains the
cell."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Answer of a worker at its end."""

    ending: Ending = "done"
    error: str | None = None
    """Error, in one line; None without one."""

    value: float | None = None
    """Seconds, for a job that measures them."""


def perform(job: Job) -> Answer:
    """Perform a job in the main thread of a process that does nothing else; return errors."""
    from convergan.runs.claim import InUse
    from convergan.training.signals import Interrupted, Terminated

    with _logged(Path(job.log)) as console:
        try:
            return Answer(value=_TASKS[job.kind](job, console))
        except (Interrupted, Terminated, KeyboardInterrupt):
            return Answer(ending="stopped", error="stopped")
        except InUse as error:
            return Answer(ending="busy", error=str(error))
        except UserError as error:
            return Answer(ending="failed", error=str(error))
        except OSError as error:
            return Answer(ending="failed", error=file_problem(error))
        except Exception as error:
            # The traceback is in the log; the table needs a line.
            console.print_exception()
            ending: Ending = "out of memory" if is_out_of_memory(error) else "failed"
            return Answer(ending=ending, error=f"{type(error).__name__}: {one_line(error)}")


def is_out_of_memory(error: BaseException) -> bool:
    """True if this machine or its GPU had too little memory, which other processes may have used."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The exception that torch raises on a CPU.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextmanager
def _logged(path: Path) -> Iterator[Console]:
    """Append the output of the block to a file."""
    make_folder(path.parent)
    with (
        path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1) as file,
        redirect_stdout(file),
        redirect_stderr(file),
    ):
        yield Console(file=file, width=110)


def _train(job: Job, console: Console) -> None:
    from convergan.training.options import RunOptions
    from convergan.training.run import train

    options = RunOptions(resume=True, checkpoint_every_seconds=job.checkpoint_every_seconds)
    train(_recipe(job), job.folder, options=options, console=console)


def _average(job: Job, console: Console) -> None:
    from convergan.experiments.averaging import average

    average(_recipe(job), Path(job.folder), [Path(member) for member in job.members], console)


def _score(job: Job, console: Console) -> None:
    from convergan.experiments.scoring import score_samples

    score_samples(
        _recipe(job),
        Path(job.folder),
        run=None if job.real else Path(job.members[0]),
        settings=ScoreSettings(**(job.scoring or {})),
        weights=None if job.weights is None else Path(job.weights),
        sha256=job.sha256,
    )


def _time(job: Job, console: Console) -> float:
    if job.scoring is not None:
        from convergan.experiments.scoring import expected_scoring_seconds

        settings = ScoreSettings(**job.scoring)
        return expected_scoring_seconds(_recipe(job), settings, real=job.real)
    from convergan.training.duration import expected_seconds

    return expected_seconds(_recipe(job), console=console)


_TASKS: dict[JobKind, Callable[[Job, Console], float | None]] = {
    "train": _train,
    "average": _average,
    "score": _score,
    "time": _time,
}


def _recipe(job: Job) -> Recipe:
    return recipe_from_dict(dict(job.recipe), "recipe")
