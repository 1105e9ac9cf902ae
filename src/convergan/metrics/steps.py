"""Work that takes long tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with what is done and with all there is to do."""


class Steps:
    """Counts steps, and tells of each.

    Args:
        progress: whom to tell; None: nobody.
        of: steps in all.
    """

    def __init__(self, progress: Progress | None, of: int) -> None:
        self.progress, self.of, self.done = progress, of, 0

    def take(self, count: int = 1) -> None:
        """Some steps more are done."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.of)
