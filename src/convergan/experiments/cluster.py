"""Workers of a Ray cluster: a task for each job, on whatever node has room for it.

All nodes see the same folders, by the same paths: run folders, and the images where they are not downloaded.
"""

import importlib.util
import time
from typing import Any

from convergan.errors import UserError, install_command, one_line
from convergan.experiments.work import Answer, Ending, Job, perform
from convergan.experiments.workers import Ended

_WAITING = 1000
"""Number of jobs that are given to the cluster at once, for a cluster that grows by demand."""

_POLL_SECONDS = 0.5


class RayWorkers:
    """Tasks of a Ray cluster, each with its CPUs and, where the cluster has some, a GPU of its own.

    Args:
        address: address of the cluster: `auto` on one of its nodes, HOST:PORT, or `local` for this
            machine alone.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UserError(
                f"cluster: expected the extra [cluster], {install_command('cluster')}, got no ray"
            )
        import ray

        self._ray: Any = ray
        try:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UserError(
                f"cluster: expected the address of a Ray cluster, got {address} ({one_line(error)})"
            ) from error
        # A process of its own for each task: nothing of one is left for the next. The table itself begins a
        # cell again whose process died, and counts how often.
        self._task = self._ray.remote(max_calls=1, max_retries=0)(perform)
        self._running: dict[str, tuple[Job, Any]] = {}

    def slots(self, threads: int) -> int:
        """See `Workers`; for the cluster as it is now."""
        resources = self._ray.cluster_resources()
        slots = int(resources.get("CPU", 1)) // threads
        gpus = int(resources.get("GPU", 0))
        return max(1, min(slots, gpus) if gpus else slots)

    def free(self) -> int:
        """See `Workers`."""
        return _WAITING - len(self._running)

    def begin(self, job: Job) -> None:
        """See `Workers`."""
        # Of the cluster as it is now: nodes come and go.
        has_gpus = self._ray.cluster_resources().get("GPU", 0) >= 1
        gpus = 1 if has_gpus and job.uses_gpu else 0
        task = self._task.options(num_cpus=job.threads, num_gpus=gpus, name=job.name)
        self._running[job.name] = job, task.remote(job)

    def ended(self, seconds: float) -> list[Ended]:
        """See `Workers`."""
        references = {reference: job for job, reference in self._running.values()}
        if not references:
            time.sleep(min(seconds, _POLL_SECONDS))
            return []
        ready, _ = self._ray.wait(list(references), num_returns=1, timeout=seconds)
        if ready:
            # Others that are ready as well.
            ready, _ = self._ray.wait(list(references), num_returns=len(references), timeout=0)
        ended = [self._ended(references[reference], reference) for reference in ready]
        for end in ended:
            del self._running[end.job.name]
        return ended

    def _ended(self, job: Job, reference: Any) -> Ended:
        exceptions = self._ray.exceptions
        try:
            return Ended(job=job, answer=self._ray.get(reference))
        except exceptions.TaskCancelledError:
            return Ended(job=job, answer=Answer(ending="stopped", error="stopped"))
        except exceptions.RayTaskError as error:
            ending: Ending = "failed"
            if isinstance(error.cause, KeyboardInterrupt):
                ending = "stopped"
            return Ended(job=job, answer=Answer(ending=ending, error=one_line(error.cause)))
        except exceptions.RayError as error:
            # The process, its node or its memory is gone.
            kind = type(error).__name__.removesuffix("Error")
            return Ended(job=job, answer=None, death=f"its process was lost ({kind})")

    def stop(self) -> None:
        """See `Workers`."""
        for _, reference in self._running.values():
            self._ray.cancel(reference)

    def close(self) -> None:
        """See `Workers`."""
        self._ray.shutdown()
