"""`convergan reproduce`: the paper's tables and figures. Heavy imports wait until it runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Interval
from tyro.conf import Positional, arg

from convergan.errors import UserError
from convergan.experiments.tables import SCORED_IMAGES, TABLES, TableName
from convergan.ranges import Checked
from convergan.train_commands import Stopped

_LABELS = Annotated[int, Interval(ge=1, le=10**9)]


@dataclass(frozen=True, kw_only=True)
class ReproduceData(Checked, group="data"):
    """Where the images are."""

    path: Path | None = None
    """Folder with the data as `convergan train` takes it, or with a folder for each source in it (mnist,
    cifar10, svhn). Unset: it is downloaded."""

    cache: Path | None = None
    """Where decoded images are kept. Unset: $CONVERGAN_CACHE, else ~/.cache/convergan."""


@dataclass(kw_only=True)
class Reproduce(Checked):
    """Run the paper's experiments, and print them beside the paper's numbers and the best published since.

    A second call runs only what is missing.
    """

    table: Annotated[Positional[TableName], arg(metavar="TABLE")]
    """table1: MNIST; table2: CIFAR-10; svhn: Figure 5; table3: Inception scores; figures: samples."""

    labels: tuple[_LABELS, ...] = ()
    """Numbers of labels. Unset: the paper's."""

    seeds: Annotated[int, Interval(ge=1, le=1000)] | None = None
    """Draws of labels, of which mean and deviation are shown. Unset: 10; 1 for samples and their scores."""

    members: Annotated[int, Interval(ge=1, le=1000)] | None = None
    """Models of an ensemble; 1: no ensembles. Unset: 10 in tables of errors."""

    recipes: tuple[str, ...] = ()
    """Recipes by name, or recipe.yaml files, in place of the paper's; the table names them."""

    data: ReproduceData = field(default_factory=ReproduceData)
    """Where the images are."""

    out: Path = Path("runs/reproduce")
    """Folder of the experiment: run folders of the cells, and the table as Markdown, CSV and figure."""

    results: Path | None = None
    """Folder where the results.json of each finished cell is kept; what is there is not run again.
    Unset: results/ in the folder of the experiment."""

    workers: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Processes that train at the same time. Unset: one for each GPU, else one for each core."""

    threads: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Threads of each. Unset: the cores divided among the workers; 1 on a cluster."""

    cluster: str | None = None
    """Address of a Ray cluster that trains in place of processes here: auto on one of its nodes, or
    HOST:PORT. Its nodes share the folders."""

    budget: Annotated[float, Interval(gt=0, le=10**5)] | None = None
    """Hours that it may take: from timed steps, chooses what fits, and says what is left out."""

    dry_run: bool = False
    """Say what there is to do and how long it would take, print the table as it is, and stop there."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Time between checkpoints: what a killed worker loses at most."""

    samples: Annotated[int, Interval(ge=100, le=10**8)] = SCORED_IMAGES
    """Of table3: images that an Inception score is made of."""

    weights: Path | None = None
    """Of table3: the Inception network's weights. Unset: from the cache, or downloaded into it."""

    adopt: tuple[Path, ...] = ()
    """Folders of runs that `convergan train` made: those with the settings of a cell are not run again."""

    study: Path | None = None
    """Of table3: the JSON of a study's report (`convergan study report --json`) whose sets of images have the
    recipes' names: how people and the Inception score rank the models."""

    def run(self) -> None:
        from convergan.experiments.plan import plan_of
        from convergan.experiments.reproduce import Resources, cores_here, gpus_here, reproduce
        from convergan.experiments.store import Store
        from convergan.terminal import standard_console

        if self.cluster is not None and self.workers is not None:
            raise UserError("workers: expected none beside --cluster, which has its own, got some")
        if self.study is not None and self.table != "table3":
            raise UserError(
                f"study: expected none for {self.table}, which has no Inception scores, got {self.study}"
            )
        workers = self.workers
        if workers is None:
            workers = 1 if self.cluster is not None else len(gpus_here()) or cores_here()
        threads = self.threads
        if threads is None:
            threads = 1 if self.cluster is not None else max(1, cores_here() // workers)
        plan = plan_of(
            TABLES[self.table],
            recipes=self.recipes,
            labels=self.labels,
            draws=self.seeds,
            members=self.members,
            data=self.data.path,
            cache=self.data.cache,
            threads=threads,
            samples=self.samples,
        )
        store = Store(self.out, self.results or self.out / "results")
        resources = Resources(
            workers=workers,
            threads=threads,
            cluster=self.cluster,
            budget_hours=self.budget,
            checkpoint_every_seconds=self.checkpoint_every_seconds,
            weights=self.weights,
        )
        progress = reproduce(
            plan,
            store,
            resources,
            standard_console(),
            dry_run=self.dry_run,
            study=self.study,
            adopted=self.adopt,
        )
        if progress.interrupted:
            raise Stopped("stopped; the same command goes on", 130)
        if progress.failed:
            raise UserError(
                f"reproduce: expected every cell to be computed, got {len(progress.failed)} that failed;"
                " the same command tries them again"
            )
