"""Options of resuming, checkpoints, divergence and logging."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.ranges import Checked


@dataclass(frozen=True, kw_only=True)
class RunOptions(Checked):
    """Options of resuming, checkpoints, divergence and logging, which do not change what a run computes."""

    resume: bool = False
    """Continue the run in the folder, or start it if there is none."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Time between checkpoints, in seconds. 0: after every step."""

    on_divergence: Literal["stop", "rollback"] = "stop"
    """Reaction to a loss that is not finite. `stop`: stop with an error. `rollback`: go back to the last
    checkpoint and halve the learning rate, at most three times."""

    logger: Literal["none", "tensorboard"] = "none"
    """Destination of each epoch's numbers, in addition to metrics.jsonl."""
