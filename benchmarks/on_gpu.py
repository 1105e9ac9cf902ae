"""All measurements on a GPU in the given minutes: one command, which needs the checkout and the data.

    python benchmarks/on_gpu.py --minutes M --out DIR [--cifar10 DIR] [--mnist DIR] [--work DIR]
        [--stages NAME ...] [--dry-run] [--device cpu --small]

The stages are: the tests that need a GPU; layers, networks and Adam against float64; a step and an epoch of
`cifar10` and of `mnist`, as they are and compiled, against plain PyTorch on the same card and the floor;
then `cifar10` with 4,000 labels for as many epochs as fit, in the way that was quicker.

Each stage is a process of its own. Its rows, as in benchmarks/results, are in --out when it ends;
on-gpu.json has the outcome of each stage, and the training's curve is written while it trains. A stage that
fails or exceeds its share of the minutes is recorded, and the next one begins. Logs and the run, with its
checkpoints, are in --work: the same command continues that run. --small --device cpu tries everything.
"""

import argparse
import os
import shlex
import signal
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import torch

from convergan.json_files import read_json, write_json
from convergan.recipes.files import read_recipe
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import read_metrics
from convergan.runs.provenance import device_name
from harness import rows
from harness.command_line import command_parser
from harness.comparison_command import SMALL, SMALL_BATCH
from harness.limited_process import GRACE_SECONDS, ROOT, run

WIDTH = 80
INDENT = " " * 9
START_SECONDS = 30.0
"""Time of a training before its first step and for its report; twice as long if it is compiled."""

LABELS = 4000
PAPERS_ERROR_RATE = 0.1863
"""Error rate of the paper with 4,000 labels of CIFAR-10, a single model after 1,200 epochs."""


class Stage(NamedTuple):
    """A part of the command."""

    name: str
    share: int
    """Share of the minutes, in proportion to the other stages; the time that it leaves is theirs."""
    data: str = ""
    """The option that names the images that it cannot do without."""


TRAINING = "cifar10-training"

STAGES = (
    Stage("tests", 2),
    Stage("kernels", 3),
    Stage("cifar10-step", 3),
    Stage("cifar10-epoch", 3, "cifar10"),
    Stage("mnist-step", 2),
    Stage("mnist-epoch", 2, "mnist"),
    Stage(TRAINING, 5, "cifar10"),
)


class Session:
    """The stages of one call, what has been found, and the time that is left."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.out, self.work = arguments.out, arguments.work
        self.run = RunFolder(self.work / "cifar10")
        self.stages = [stage for stage in STAGES if stage.name in arguments.stages]
        self.shares = {stage.name: stage.share for stage in self.stages if not self.lacks(stage)}
        self.start, self.seconds = time.monotonic(), 60 * arguments.minutes
        self.suffix = "-cuda" if arguments.device == "cuda" else ""

    def passed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def lacks(self, stage: Stage) -> bool:
        """True if there are no images for a stage."""
        return bool(stage.data) and getattr(self.arguments, stage.data) is None

    def ends(self, stage: Stage) -> float:
        """Seconds from the start to the end of a stage at the latest: those after it have their shares."""
        names = list(self.shares)
        shares = sum(self.shares[name] for name in names[: names.index(stage.name) + 1])
        reserve = min(GRACE_SECONDS, 0.1 * self.seconds)
        return min(shares / sum(self.shares.values()) * self.seconds, self.seconds - reserve)

    def rows_of(self, stage: str) -> list[dict[str, Any]]:
        """The rows that a stage has written, the last time."""
        paths = [path for path in self.files_of(stage) if path.exists()]
        return read_json(max(paths, key=lambda path: path.stat().st_mtime)) if paths else []

    def files_of(self, stage: str) -> list[Path]:
        """Files in which a stage leaves its results."""
        if stage == "tests":
            return [self.work / "tests.xml"]
        return [self.out / f"{stage}{self.suffix}{way}.json" for way in ("", "-compiled")]

    def compiled(self, recipe: str) -> bool:
        """True if steps of a recipe were quicker compiled."""
        seconds = {row["compiled"]: row["ours"] for row in self.rows_of(f"{recipe}-step")}
        return len(seconds) == 2 and seconds[True] < seconds[False]

    def words(self, stage: Stage) -> list[str]:
        """The command of a stage, after `python`."""
        arguments, recipe = self.arguments, stage.name.partition("-")[0]
        computed = ["--device", arguments.device, *(["--small"] if arguments.small else [])]
        data = getattr(arguments, recipe, None)
        images = ["--data", str(data)] if data else []
        if stage.name == "tests":
            marked = "cuda" if arguments.device == "cuda" else "not cuda"
            # Without the plugins and fixtures that `make test` needs.
            return [
                *("-m", "pytest", "-q", "-m", marked, "-o", "addopts=", "--noconftest"),
                *("--import-mode=importlib", "-p", "no:cacheprovider"),
                *(f"--junitxml={self.work / 'tests.xml'}", "--rootdir", str(ROOT)),
                str(ROOT / "tests" / "training" / "test_devices.py"),
            ]
        if stage.name == "kernels":
            sizes = ["--batch", "4", "--timed-batch", "4"] if arguments.small else []
            return [self.benchmark("kernels"), "--compile", self.compile_option, *computed, *sizes]
        if stage.name == TRAINING:
            return self.training_words()
        kind = stage.name.partition("-")[2]
        words = [self.benchmark(kind), "--recipe", recipe, *images, *computed]
        if kind == "epoch":
            words += ["--compile", "on" if self.compiled(recipe) else "off"]
            return [*words, *(["--epochs", "1"] if arguments.small else [])]
        return [
            *words,
            "--compile",
            self.compile_option,
            *(["--steps", "1"] if arguments.small else []),
        ]

    @property
    def compile_option(self) -> str:
        """The value of --compile: nothing is compiled where the command is only tried."""
        return "off" if self.arguments.small else "both"

    def benchmark(self, name: str) -> str:
        """The path of a benchmark."""
        return str(ROOT / "benchmarks" / f"{name}.py")

    def training_words(self) -> list[str]:
        """The training, on the schedule that it has or on one that fits."""
        arguments = self.arguments
        words = ["-m", "convergan", "train"]
        if self.run.recipe.exists():
            return [*words, "--from", str(self.run.recipe), "--out", str(self.run.path), "--resume"]
        words += ["cifar10", "--labels", "20" if arguments.small else str(LABELS), "--no-baseline"]
        words += ["--data.path", str(arguments.cifar10), "--out", str(self.run.path)]
        words += ["--hardware.accelerator", arguments.device]
        compiled = self.compiled("cifar10")
        words += ["--hardware.compile"] if compiled else []
        if arguments.small:
            words += ["--batch-size", str(SMALL_BATCH)]
            for name, value in SMALL["cifar10"].items():
                words += [f"--networks.{name.replace('_', '-')}", str(value)]
        start = START_SECONDS * (1 + compiled)
        seconds = max(1.0, self.seconds - self.passed() - GRACE_SECONDS - start)
        epoch_seconds = [row["ours"] for row in self.rows_of("cifar10-epoch")]
        if not epoch_seconds:
            return [*words, "--minutes", f"{seconds / 60:.2f}"]
        return [*words, "--epochs", str(self.epochs_in(seconds, epoch_seconds[-1]))]

    def epochs_in(self, seconds: float, epoch_seconds: float) -> int:
        """The number of epochs for so many seconds: a little fewer than fit."""
        return max(1, int(0.95 * seconds / epoch_seconds))

    def summary(self, stage: Stage) -> list[str]:
        """Results of a stage, in lines."""
        if stage.name == "tests":
            return self.summary_of_tests()
        measured = self.rows_of(stage.name)
        if stage.name == "kernels":
            exceeding = [row for row in measured if not row["within"]]
            lines = [f"{len(measured) - len(exceeding)} of {len(measured)} within their limits"]
            return lines + [f"{row['setting']}: {row['ours']:.1e}" for row in exceeding]
        if stage.name == TRAINING:
            return [
                f"epoch {row['epochs_done']} of {row['epochs']}: {row['ours']:.2%} errors"
                for row in measured
                if row["ours"] is not None
            ]
        return [
            f"{'compiled' if row['compiled'] else 'as it is'}, {row['precision']}:"
            f" {_seconds(row['ours'])}, peer {_seconds(row['peer'])},"
            f" {row['times_faster']:.2f} x; {row['times_floor']:.2f} x the floor"
            + (
                f"; {row['cuda_graphs_skipped']} times no graph"
                if row.get("cuda_graphs_skipped")
                else ""
            )
            for row in measured
        ]

    def summary_of_tests(self) -> list[str]:
        """The numbers of tests, and those that failed."""
        (path,) = self.files_of("tests")
        if not path.exists():
            return []
        cases = ET.parse(path).getroot().findall(".//testcase")
        failed = [
            case
            for case in cases
            if case.find("failure") is not None or case.find("error") is not None
        ]
        skipped = sum(case.find("skipped") is not None for case in cases)
        passed = len(cases) - len(failed) - skipped
        names = [f"failed: {case.get('name')}" for case in failed]
        return [f"{passed} passed, {len(failed)} failed, {skipped} skipped", *names]

    def write_curve(self) -> None:
        """The training's row, with its errors by epoch so far."""
        if not self.run.manifest.exists():
            return
        lines, recipe = read_metrics(self.run.metrics), read_recipe(self.run.recipe)
        rates = [
            line.test_errors / line.test_size
            for line in lines
            if line.test_errors is not None and line.test_size
        ]
        manifest = read_json(self.run.manifest)
        curve = rows.row(
            claim=f"comes to {PAPERS_ERROR_RATE:.1%} errors with {LABELS:,} labels",
            setting=f"cifar10 ({self.arguments.cifar10.name}), {recipe.labels:,} labels,"
            f" seed {recipe.seed}, {recipe.plan.epochs or recipe.epochs:,} epochs, baseline off",
            device=manifest["device"],
            precision=manifest["precision"],
            ours=rates[-1] if rates else None,
            peer=PAPERS_ERROR_RATE,
            peer_name="the paper, 1,200 epochs",
            unit="error rate",
            repeats=1,
            compiled=recipe.hardware.compile,
            epochs=recipe.plan.epochs or recipe.epochs,
            epochs_done=len(lines),
            finished=self.run.results.exists(),
            error_rate_by_epoch=rates,
            train_seconds_by_epoch=[round(line.train_seconds, 1) for line in lines],
        )
        rows.write_rows(f"{TRAINING}{self.suffix}", [curve])

    def begin(self) -> dict[str, Any]:
        """First content of on-gpu.json: with the stages of an earlier call that are not part of this one."""
        path = self.out / "on-gpu.json"
        earlier = read_json(path)["stages"] if path.exists() else []
        names = [stage.name for stage in self.stages]
        return {
            "device": device_name(torch.device(self.arguments.device)),
            "minutes": self.arguments.minutes,
            "versions": rows.versions(),
            "git_commit": rows.GIT_COMMIT,
            "command": rows.command(sys.argv),
            "stages": [entry for entry in earlier if entry["name"] not in names],
        }


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.2f} ms"


def say(text: str, indent: str = "") -> None:
    """Print lines of at most 80 columns."""
    lines = wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    print("\n".join(lines), flush=True)


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60:4}:{int(seconds) % 60:02}"


def perform(session: Session) -> bool:
    """Run the stages and record them; return whether all were done that have images."""
    record = session.begin()
    say(f"{record['device']}, torch {torch.__version__}, commit {record['git_commit']}")
    for stage in session.stages:
        entry = performed(session, stage)
        record["stages"].append(entry)
        write_json(session.out / "on-gpu.json", record)
        say(f"{clock(session.passed())}  {stage.name}: {entry['outcome']}")
        ends = entry["output"].splitlines()[-3:] if entry["outcome"] == "failed" else []
        for line in (*entry["summary"], *ends):
            say(line[:300], INDENT)
    names = {stage.name for stage in session.stages if not session.lacks(stage)}
    done = {entry["name"] for entry in record["stages"] if entry["outcome"] == "done"}
    return names <= done


def performed(session: Session, stage: Stage) -> dict[str, Any]:
    """Run a stage, if there are images and time for it; give its record."""
    if session.lacks(stage):
        return {"name": stage.name, "outcome": "left out", "summary": [lack_of(stage)]}
    seconds = session.ends(stage) - session.passed()
    if seconds <= 0:
        return {"name": stage.name, "outcome": "left out", "summary": ["no time is left for it"]}
    say(f"{clock(session.passed())}  {stage.name} ...")
    words = session.words(stage)
    for path in session.files_of(stage.name):
        path.unlink(missing_ok=True)
    look = session.write_curve if stage.name == TRAINING else lambda: None
    outcome = run(words, session.work / f"{stage.name}.log", seconds=seconds, look=look)
    look()
    return {
        "name": stage.name,
        "outcome": outcome.word,
        "seconds": round(outcome.seconds, 1),
        "allowed_seconds": round(seconds, 1),
        "command": shlex.join(["python", *map(rows.without_folder, words)]),
        "summary": session.summary(stage),
        "output": outcome.output.strip(),
    }


def lack_of(stage: Stage) -> str:
    """The reason for which a stage without images is left out."""
    return f"--{stage.data} names no images"


def print_plan(session: Session) -> None:
    """The stages, when each ends at the latest, and its command as far as it is known before."""
    say(f"{session.arguments.minutes:g} minutes; each stage ends at the latest at")
    for stage in session.stages:
        if session.lacks(stage):
            say(f"left out {stage.name}: {lack_of(stage)}", INDENT)
            continue
        say(f"{clock(session.ends(stage))}  {stage.name}")
        say(shlex.join(["python", *session.words(stage)]), INDENT)
    say(f"results in {session.out}, logs and the run in {session.work}")


def main() -> None:
    parser = command_parser(__doc__)
    names = [stage.name for stage in STAGES]
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cifar10", type=Path, metavar="DIR", help="with parquet files")
    parser.add_argument("--mnist", type=Path, metavar="DIR", help="with parquet files")
    parser.add_argument("--work", type=Path, metavar="DIR", default=Path("runs/on-gpu"))
    parser.add_argument("--stages", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--dry-run", action="store_true", help="print the plan")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--small", action="store_true", help="few units, to try the command")
    arguments = parser.parse_args()
    if not arguments.minutes > 0:
        parser.error(f"--minutes: expected a number above 0, got {arguments.minutes:g}")
    for option in ("cifar10", "mnist"):
        folder = getattr(arguments, option)
        if folder is not None and not folder.is_dir():
            parser.error(f"--{option}: expected a folder of parquet files, got {folder}")
    if arguments.dry_run:
        print_plan(Session(arguments))
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: expected cpu where torch finds no GPU, got cuda")
    for folder in (arguments.out, arguments.work):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["BENCHMARK_RESULTS"] = str(arguments.out.resolve())
    rows.RESULTS = arguments.out
    if not perform(Session(arguments)):
        raise SystemExit(1)


if __name__ == "__main__":
    # As Ctrl-C does: the stage under way is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
