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
    """Location of the images."""

    path: Path | None = None
    """Folder with the data, as for `convergan train`, or with one such folder per source (mnist, cifar10,
    svhn). Unset: the data is downloaded."""

    cache: Path | None = None
    """Folder for the decoded images. Unset: $CONVERGAN_CACHE, else ~/.cache/convergan."""


@dataclass(kw_only=True)
class Reproduce(Checked):
    """Run the paper's experiments and print them with the paper's numbers.

    The best numbers published since are shown too. A second call runs only what is missing.
    """

    table: Annotated[Positional[TableName], arg(metavar="TABLE")]
    """Table or figure of the paper. table1: MNIST; table2: CIFAR-10; svhn: Figure 5; table3: Inception
    scores; figures: samples."""

    labels: tuple[_LABELS, ...] = ()
    """Numbers of labels to train with. Unset: those of the paper."""

    seeds: Annotated[int, Interval(ge=1, le=1000)] | None = None
    """Number of draws of labels, over which mean and standard deviation are taken. Unset: 10; 1 for samples
    and their scores."""

    members: Annotated[int, Interval(ge=1, le=1000)] | None = None
    """Number of models in an ensemble; 1: no ensembles. Unset: 10 in tables of errors."""

    recipes: tuple[str, ...] = ()
    """Recipes to run instead of the paper's, by name or as recipe.yaml files; the table names them."""

    data: ReproduceData = field(default_factory=ReproduceData)
    """Location of the images."""

    out: Path = Path("runs/reproduce")
    """Folder of the experiment, for the run folders of the table's cells and the table as Markdown, CSV and
    figure."""

    results: Path | None = None
    """Folder for the results.json of each finished cell; cells with a result there are not run again. Unset:
    results/ in the folder of the experiment."""

    workers: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Number of processes that train at the same time. Unset: one per GPU, or one per core without a GPU."""

    threads: Annotated[int, Interval(ge=1, le=1024)] | None = None
    """Number of threads per worker. Unset: the cores divided among the workers; 1 on a cluster."""

    cluster: str | None = None
    """Address of a Ray cluster to train on instead of this machine: `auto` on one of its nodes, or HOST:PORT.
    The nodes must share the folders."""

    budget: Annotated[float, Interval(gt=0, le=10**5)] | None = None
    """Time limit in hours. The cells that fit are chosen from timed steps, and the others are listed."""

    dry_run: bool = False
    """Print what remains to be done, how long that would take and the table as it is, and stop."""

    checkpoint_every_seconds: Annotated[float, Interval(ge=0, le=10**6)] = 30.0
    """Seconds between checkpoints: the most training time that a killed worker loses."""

    samples: Annotated[int, Interval(ge=100, le=10**8)] = SCORED_IMAGES
    """Number of images per Inception score, for table3."""

    weights: Path | None = None
    """File with the weights of the Inception network, for table3. Unset: from the cache, or downloaded into
    it."""

    adopt: tuple[Path, ...] = ()
    """Folders of finished runs of `convergan train`. A cell with the settings of such a run is not run
    again."""

    study: Path | None = None
    """JSON of a study's report (`convergan study report --json`), for table3; its sets of images must have
    the names of recipes. It shows how people and the Inception score rank the models."""

    def run(self) -> None:
        from convergan.experiments.plan import plan_of
        from convergan.experiments.reproduce import Resources, cores_here, gpus_here, reproduce
        from convergan.experiments.store import Store
        from convergan.terminal import standard_console

        if self.cluster is not None and self.workers is not None:
            raise UserError(
                f"workers: expected None with --cluster, whose nodes determine it, got {self.workers}"
            )
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
            raise Stopped("stopped; the same command continues", 130)
        if progress.failed:
            raise UserError(
                f"reproduce: expected every cell to be computed, got {len(progress.failed)} that failed;"
                " the same command tries them again"
            )
