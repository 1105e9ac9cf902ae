"""A killed worker costs a table nothing but time, whether it is a process or a task of a Ray cluster."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from convergan.experiments.plan import Plan
from convergan.experiments.reproduce import Resources, reproduce
from convergan.experiments.store import Store
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.training.run import train
from experiments.conftest import killing_the_trainer


def require_complete(
    plan: Plan, store: Store, resources: Resources, reference: Path, console: Console
) -> None:
    """Run a plan, kill the process that trains its first cell, and compare the cell with `reference`, a
    run that was not interrupted."""
    first = plan.cells()[0]
    folder = RunFolder(store.cell_folder(first))
    with killing_the_trainer(folder.path) as killed:
        progress = reproduce(plan, store, resources, console)
    assert killed, "nothing was killed"
    assert progress.failed == {}
    assert all(store.outcome(cell) is not None for cell in plan.cells())
    # Another process resumed the run from its checkpoint, and the result is that of a run nobody killed.
    assert len(folder.read_manifest().resumed) == 1
    errors = [line.test_errors for line in read_metrics(folder.metrics)]
    assert errors == [line.test_errors for line in read_metrics(RunFolder(reference).metrics)]


@pytest.mark.slow
def test_a_killed_process_is_begun_again_from_its_checkpoint(
    plan: Callable[..., Plan], tmp_path: Path, quiet: Console
) -> None:
    tiny_plan = plan(draws=2)
    store = Store(tmp_path / "out", tmp_path / "kept")
    recipe: Recipe = tiny_plan.cells()[0].recipe
    train(recipe, tmp_path / "whole", console=quiet)
    resources = Resources(workers=2, threads=1, checkpoint_every_seconds=0)

    require_complete(tiny_plan, store, resources, tmp_path / "whole", quiet)


@pytest.mark.slow
def test_a_killed_task_of_a_cluster_is_begun_again_from_its_checkpoint(
    plan: Callable[..., Plan], tmp_path: Path, quiet: Console
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    tiny_plan = plan(draws=2)
    store = Store(tmp_path / "out", tmp_path / "kept")
    train(tiny_plan.cells()[0].recipe, tmp_path / "whole", console=quiet)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    try:
        cluster.add_node(num_cpus=1, num_gpus=0)
        resources = Resources(
            workers=1, threads=1, cluster=cluster.address, checkpoint_every_seconds=0
        )

        require_complete(tiny_plan, store, resources, tmp_path / "whole", quiet)
        # Each node has room for one cell: the cells were trained on both nodes.
        runs = [RunFolder(store.cell_folder(cell)) for cell in tiny_plan.cells()]
        begun = [datetime.fromisoformat(run.read_manifest().started).timestamp() for run in runs]
        assert max(begun) < min(run.results.stat().st_mtime for run in runs)
    finally:
        cluster.shutdown()
