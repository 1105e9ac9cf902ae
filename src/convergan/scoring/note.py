"""A warning to whoever reads a score, in the terminal and in the JSON."""

from dataclasses import dataclass

from convergan.scoring.settings import MetricName


@dataclass(frozen=True)
class Note:
    """A warning to whoever reads a number."""

    metric: MetricName | None
    """Metric that the note is about; None: all metrics."""
    message: str
    role: str | None = None
    """Set that the note is about: `images`, `versus`, `reference` or `training`; None: the scored images, or
    no set."""
