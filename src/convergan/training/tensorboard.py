"""The numbers of metrics.jsonl for TensorBoard."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convergan.errors import UserError


def require_tensorboard() -> None:
    """Raises `UserError` where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "logger: expected TensorBoard for `tensorboard`, got no such package; "
            "pip install 'convergan[tensorboard]'"
        )


class ScalarLogger:
    """Writes the numbers of each epoch below `folder`."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, line: dict[str, Any]) -> None:
        """Adds one line of metrics.jsonl; losses are grouped, what is not a number is left out."""
        scalars = {key: value for key, value in line.items() if isinstance(value, int | float)}
        for name, value in {**scalars, **line["losses"]}.items():
            self._writer.add_scalar(name, value, line["epoch"])
        self._writer.flush()
