"""Workers whose jobs end at once, as a test says: for tests of what follows from each ending."""

from collections.abc import Callable
from pathlib import Path

from convergan.experiments.store import write_outcome
from convergan.experiments.work import Answer, Job
from convergan.experiments.workers import Ended

DONE = "done"
KILLED = "killed"
ADVANCED = "advanced"
STOPPED = "stopped"
BUSY = "busy"
OUT_OF_MEMORY = "out of memory"


class Scripted:
    """Ends each job as its script says, one word for each attempt: `done`, `killed`, `advanced` (killed after
    a checkpoint), `stopped`, `busy`, `out of memory` or an error."""

    def __init__(self, endings: dict[str, list[str]] | None = None, at_once: int = 2) -> None:
        self._endings, self.at_once = endings or {}, at_once
        self.begun: list[Job] = []
        self.most_at_once = 0
        self._running: list[Job] = []
        self.on_begin: Callable[[Job], None] = lambda job: None

    def slots(self, threads: int) -> int:
        return self.at_once

    def free(self) -> int:
        return self.at_once - len(self._running)

    def begin(self, job: Job) -> None:
        self.begun.append(job)
        self._running.append(job)
        self.most_at_once = max(self.most_at_once, len(self._running))
        self.on_begin(job)

    def ended(self, seconds: float) -> list[Ended]:
        jobs, self._running = self._running, []
        return [self._ended(job) for job in jobs]

    def _ended(self, job: Job) -> Ended:
        script = next((e for name, e in self._endings.items() if job.name.startswith(name)), [])
        ending = script.pop(0) if script else DONE
        if ending == ADVANCED:
            checkpoints = Path(job.folder) / "checkpoints"
            checkpoints.mkdir(parents=True, exist_ok=True)
            step = len(list(checkpoints.iterdir())) + 1
            (checkpoints / f"step-{step:09d}.safetensors").touch()
        if ending in (KILLED, ADVANCED):
            return Ended(job=job, answer=None, death="killed by SIGKILL")
        if ending in (STOPPED, BUSY, OUT_OF_MEMORY):
            return Ended(job=job, answer=Answer(ending=ending, error=f"{ending} here"))  # type: ignore[arg-type]
        if ending != DONE:
            return Ended(job=job, answer=Answer(ending="failed", error=ending))
        write_results(job)
        return Ended(job=job, answer=Answer())

    def stop(self) -> None:
        for job in self._running:
            self._endings[job.name] = [STOPPED]

    def close(self) -> None:
        self._running = []


def write_results(job: Job) -> None:
    """Write what a finished cell leaves, as far as tables read it; the recipe decides its errors."""
    recipe = job.recipe
    errors = {20: 118, 50: 70}.get(recipe["labels"], 40) + recipe["seed"]
    members = [{"seed": 0, "test_errors": 3, "test_error_rate": 0.1}] * len(job.members)
    folder = Path(job.folder)
    if job.kind == "train":
        # What other cells need of it.
        (folder / "model").mkdir(parents=True, exist_ok=True)
    write_outcome(
        folder,
        {
            "recipe": recipe["name"],
            "labels": recipe["labels"],
            "seed": recipe["seed"],
            "epochs": recipe["epochs"],
            "test_size": 500,
            "test_errors": errors - 10 * bool(members),
            "train_seconds": 60.0,
            "device": "cpu, 1 thread",
            "precision": "32-true",
            "members": members,
            "sha256": job.sha256,
        },
    )
