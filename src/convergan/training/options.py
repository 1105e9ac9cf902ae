"""How a run is kept and watched."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.ranges import Checked


@dataclass(frozen=True, kw_only=True)
class RunOptions(Checked):
    """How a run is kept and watched; nothing here changes what it computes."""

    resume: bool = False
    """Continue the run that is in the folder; start it where there is none."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Time between checkpoints."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """On a loss that is not finite: stop; or go back to the last checkpoint and halve the learning
    rate, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Where each epoch's numbers go beside metrics.jsonl."""
