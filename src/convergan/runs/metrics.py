"""metrics.jsonl: one line per epoch, appended as the run goes on."""

import json
import math
from pathlib import Path
from typing import Any

from convergan.files import write_text


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Adds one line. Numbers that are not finite become null: JSON has none."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_finite(line), allow_nan=False) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; the last one may have been cut off by the process's end."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines


def keep_metrics(path: Path, epochs: int) -> list[dict[str, Any]]:
    """Drops the lines after so many epochs, and gives the others."""
    lines = [line for line in read_metrics(path) if line["epoch"] <= epochs]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return lines


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
