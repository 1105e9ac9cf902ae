"""Fixtures of the tests of benchmarks, such as a small data set in parquet files."""

import pickle
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

import epoch
import minibatch_discrimination
import step
import virtual_batch_norm
from convergan.data.source import open_data_set
from convergan.recipes.settings import DataSettings
from harness import measure
from harness.measure import Task
from parquet_images import write_parquet


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits, stored as the hub stores MNIST."""
    folder = tmp_path_factory.mktemp("digits")
    data = open_data_set(DataSettings(source="digits"))
    assert data.test is not None
    for split, images in (("train", data.train), ("test", data.test)):
        file = folder / f"{split}-00000-of-00001.parquet"
        write_parquet(file, images.images, images.labels, "image")
    return folder


@pytest.fixture(autouse=True)
def less_to_compute(empty_charts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the matrix product that floors are derived from take a millisecond, not a tenth of a second."""
    monkeypatch.setitem(measure._SIDES, "cpu", 256)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let comparisons start no processes, which takes seconds; the tasks for them are still pickled."""

    def run_here(make_task: object, _device: object = "cpu") -> AbstractContextManager[Task]:
        return nullcontext(pickle.loads(pickle.dumps(make_task))())

    for module in (minibatch_discrimination, step, virtual_batch_norm):
        monkeypatch.setattr(module, "in_another_process", run_here)
    monkeypatch.setattr(epoch, "called_in_another_process", run_here)
