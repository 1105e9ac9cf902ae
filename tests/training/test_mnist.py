"""The `mnist` recipe on real MNIST, where it is at hand: it learns from the first epochs on, and resumes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from convergan.data.source import open_data_set
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings
from convergan.runs.metrics import read_metrics
from convergan.training import run_models
from convergan.training.checkpointing import Interrupted
from convergan.training.recorder import Recorder
from convergan.training.run import RunOptions, train

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST}")
def test_it_learns_and_resumes(
    quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 steps on 1,000 images; benchmarks/mnist_100.py measures 90,000 steps on all of them."""
    rows = tmp_path / "rows"
    rows.mkdir()
    for split, count in (("train", 1000), ("test", 1000)):
        name = f"{split}-00000-of-00001.parquet"
        pq.write_table(pq.read_table(MNIST / name).slice(0, count), rows / name)
    data = open_data_set(DataSettings(source="mnist", path=rows, cache=tmp_path / "cache"))
    recipe = PRESETS["mnist"]
    constant = replace(recipe.optimizer, decay_from=1.0)
    recipe = replace(recipe, epochs=6, baseline=False, optimizer=constant)
    steps = 0

    def count(self: Recorder, done: int, total: int) -> None:
        nonlocal steps
        steps = done

    @contextmanager
    def stop_at_step_30() -> Iterator[Callable[[], bool]]:
        yield lambda: steps == 30

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "steps_done", count)
        patch.setattr(run_models, "stop_on_signals", stop_at_step_30)
        with pytest.raises(Interrupted):
            train(recipe, tmp_path / "run", data=data, console=quiet)
    train(recipe, tmp_path / "run", data=data, options=RunOptions(resume=True), console=quiet)
    errors = [line.test_errors for line in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert len(errors) == 6
    assert errors[-1] < 0.9 * errors[0]
