"""Progress of work that takes long."""

from convergan.progress_bar import Progress


class Steps:
    """Counter of steps that reports each of them.

    Args:
        progress: called with the number of steps done and the total; None: nothing is reported.
        total: number of all steps.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def take(self, count: int = 1) -> None:
        """Count steps as done."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)
