"""Numbers of metrics.jsonl for TensorBoard."""

from importlib.util import find_spec
from pathlib import Path

from convergan.errors import UserError, install_command
from convergan.runs.epochs import EpochLine


def require_tensorboard() -> None:
    """Raise `UserError` if TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "logger: expected TensorBoard for `tensorboard`, got no such package; "
            f"{install_command('tensorboard')}"
        )


class ScalarLogger:
    """Writer of the numbers of each epoch into `folder`."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, line: EpochLine) -> None:
        """Add one line of metrics.jsonl. Losses are grouped, and values that are not numbers are left out."""
        numbers = {
            name: value for name, value in vars(line).items() if isinstance(value, int | float)
        }
        for name, value in {**numbers, **line.losses}.items():
            self._writer.add_scalar(name, value, line.epoch)
        self._writer.flush()
