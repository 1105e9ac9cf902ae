"""Records: seconds of training to 1.2 % and to 1.0 % test error on MNIST with 100 labels.

    python benchmarks/time_to_accuracy.py --data DIR [--what mnist-fast mnist peer] [--seeds 5 6 7 8 9]
        [--minutes M | --epochs E] [--labels 100] [--threads N] [--runs DIR] [--table]
    python benchmarks/time_to_accuracy.py --data DIR --what mnist-fast --labels 20 --draws 10

A record is a run: what was trained, its seed, the seconds until the test error was that low for the first
time, the errors by epoch, the date, the commit and the machine. Records are appended to
results/time-to-accuracy.json and never replaced: the same command measures those that this commit does not
have on this machine. A run that does not reach the target is also a record, with the time that it had.

Our runs train alone, without baseline. Their seconds are those of metrics.jsonl, with the test of each
epoch and without start and decoding. The peer is that of `epoch`; its `DataLoader` decodes images as it
trains. Test errors of each epoch are for the clock alone: they choose nothing. `mnist-fast` shifts images;
it is not in the permutation-invariant setting of the others.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from convergan.files import write_text
from convergan.json_files import read_json, spread_json_text
from convergan.recipes.presets import PRESETS
from convergan.runs.metrics import read_metrics
from convergan.runs.provenance import device_name, short_commit
from convergan.training.preparation import prepare
from harness import rows
from harness.cells import train
from harness.command_line import command_parser
from harness.epochs_in_turn import PeersEpochs
from harness.equal_terms import without_baseline
from harness.kept_epochs import KeptEpochs
from harness.peers.mnist import Peer

TARGETS = (0.012, 0.010)

NAME = "time-to-accuracy"

PEER = "peer"

SEEDS = (5, 6, 7, 8, 9)
"""Seeds by which no setting of a recipe was chosen."""

Record = dict[str, Any]


def machine() -> Record:
    """The machine, on which seconds depend."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": len(names) or None}


def first_below(target: float, seconds: Sequence[float], rates: Sequence[float]) -> float | None:
    """The seconds at the first epoch whose error rate is at most the target; None where none is."""
    return next(
        (second for second, rate in zip(seconds, rates, strict=True) if rate <= target), None
    )


def record(
    *,
    subject: str,
    labels: int,
    seed: int,
    threads: int,
    seconds: Sequence[float],
    errors: Sequence[int],
    test_size: int,
    **details: Any,
) -> Record:
    """One run.

    Args:
        subject: a recipe, or `peer`.
        labels, seed, threads: of the run.
        seconds: since the start of training, at the end of each epoch.
        errors: on the test images after each epoch.
        test_size: their number.
        details: what else is known of it.
    """
    rates = [count / test_size for count in errors]
    return {
        "what": subject,
        "labels": labels,
        "seed": seed,
        "threads": threads,
        "seconds_to": {
            f"{target:.1%}": _rounded(first_below(target, seconds, rates)) for target in TARGETS
        },
        "seconds_in_all": round(seconds[-1], 1),
        "epochs": len(errors),
        "best_errors": min(errors),
        "last_errors": errors[-1],
        "errors_by_epoch": list(errors),
        "test_size": test_size,
        **details,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def appended(path: Path, new_records: Iterable[Record]) -> list[Record]:
    """Add records to a file; those that are there stay as they are."""
    records = [*records_of(path), *new_records]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, spread_json_text(records))
    return records


def records_of(path: Path) -> list[Record]:
    """The records in a file, the oldest first."""
    return list(read_json(path)) if path.exists() else []


def measure(arguments: argparse.Namespace, subject: str, seed: int) -> Record:
    """Train once, or continue with a peer that was interrupted."""
    name = f"{subject}-{arguments.labels}-{seed}-{arguments.threads}"
    if subject == PEER:
        facts = peers_run(arguments, arguments.runs / name, seed)
    else:
        facts = our_run(arguments, arguments.runs / name, subject, seed)
    return {
        **record(
            subject=subject, labels=arguments.labels, seed=seed, threads=arguments.threads, **facts
        ),
        "date": datetime.now(UTC).date().isoformat(),
        "git_commit": rows.GIT_COMMIT,
        "machine": machine(),
        "device": device_name(torch.device("cpu")),
        "versions": rows.versions(),
        "command": rows.command(arguments.words),
    }


def our_run(arguments: argparse.Namespace, out: Path, recipe: str, seed: int) -> Record:
    """A recipe by its command, as a user trains it, but for the baseline."""
    words: list[object] = [recipe, "--labels", arguments.labels, "--seed", seed, "--no-baseline"]
    for option in ("minutes", "epochs"):
        if (value := getattr(arguments, option)) is not None:
            words += [f"--{option}", value]
    if arguments.data is not None:
        words += ["--data.path", arguments.data]
    results = train(words, out, threads=arguments.threads)
    lines = read_metrics(out / "metrics.jsonl")
    return {
        "seconds": [line.train_seconds for line in lines],
        "errors": [line.test_errors for line in lines],
        "test_size": results["test_size"],
        "precision": results["precision"],
        "cpu_seconds": round(results["cpu_seconds"], 1),
    }


def peers_run(arguments: argparse.Namespace, out: Path, seed: int) -> Record:
    """The peer, epoch by epoch, until it has reached the lowest target or has had its epochs."""
    if arguments.data is None:
        raise SystemExit("--data: expected a folder with parquet files, which the peer reads")
    recipe = replace(PRESETS["mnist"], seed=seed, labels=arguments.labels)
    recipe = without_baseline(recipe, arguments.data)
    torch.manual_seed(seed)
    preparation = prepare(recipe, None, processes=1)
    assert preparation.split.test is not None
    test_size = len(preparation.split.test)
    training = KeptEpochs(PeersEpochs(Peer(), arguments.data, preparation, workers=0), out)
    training.train(arguments.epochs or recipe.epochs, target_errors=min(TARGETS) * test_size)
    return {
        "seconds": list(accumulate(training.seconds)),
        "errors": training.errors,
        "test_size": test_size,
        "precision": "fp32",
    }


def is_of(entry: Record, arguments: argparse.Namespace, subject: str, seed: int) -> bool:
    """True if a record is of this run, this commit and this machine."""
    return (
        (entry["what"], entry["labels"], entry["seed"], entry["threads"])
        == (subject, arguments.labels, seed, arguments.threads)
        and entry["git_commit"] == rows.GIT_COMMIT
        and entry["machine"] == machine()
    )


def print_table(records: Sequence[Record], console: Console) -> None:
    """Print a line for each record, then a summary of the seeds of each commit."""
    table = Table(box=None, pad_edge=False)
    for column in ("date", "commit", "machine", "what", "labels", "seed"):
        table.add_column(column)
    for target in TARGETS:
        table.add_column(f"to {target:.1%}", justify="right")
    table.add_column("last", justify="right")
    for entry in records:
        seconds = entry["seconds_to"]
        table.add_row(
            entry["date"],
            short_commit(str(entry["git_commit"])),
            f"{entry['machine']['cpu'] or 'not kept'}, {entry['threads']} threads",
            entry["what"],
            str(entry["labels"]),
            str(entry["seed"]),
            *(_seconds_text(entry, seconds[f"{target:.1%}"]) for target in TARGETS),
            f"{100 * entry['last_errors'] / entry['test_size']:.2f} %",
        )
    console.print(table)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for entry in records:
        key = (entry["what"], entry["labels"], entry["git_commit"], entry["threads"])
        groups.setdefault(key, []).append(entry)
    for (subject, labels, commit, threads), group in groups.items():
        rates = [100 * entry["last_errors"] / entry["test_size"] for entry in group]
        reached = "; ".join(
            f"{target} by {sum(entry['seconds_to'][target] is not None for entry in group)}"
            for target in map("{:.1%}".format, TARGETS)
        )
        console.print(
            f"{subject}, {labels} labels, {threads} threads, {short_commit(str(commit))}: {len(group)} runs,"
            f" {reached}; last errors: mean {mean(rates):.2f} %, median {median(rates):.2f} %"
        )


def _seconds_text(entry: Record, seconds: float | None) -> str:
    return f"not in {entry['seconds_in_all']:.0f} s" if seconds is None else f"{seconds:.0f} s"


def main(words: list[str] | None = None) -> None:
    parser = command_parser(__doc__)
    recipes = [name for name in PRESETS if name.startswith("mnist")]
    parser.add_argument("--data", type=Path, help="folder with parquet files; else the hub's")
    parser.add_argument("--what", nargs="+", choices=[*recipes, PEER], default=["mnist-fast"])
    seeds_group = parser.add_mutually_exclusive_group()
    seeds_group.add_argument("--seeds", type=int, nargs="+")
    seeds_group.add_argument(
        "--draws", type=int, help="seeds 0 up to so many: each draws its labels"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="of ours, in place of the recipe's epochs")
    length.add_argument("--epochs", type=int, help="at most, in place of the recipe's")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/time-to-accuracy"))
    parser.add_argument("--table", action="store_true", help="print the records, run nothing")
    arguments = parser.parse_args(words)
    arguments.words = sys.argv
    path = rows.RESULTS / f"{NAME}.json"
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        seeds = arguments.seeds or (range(arguments.draws) if arguments.draws else SEEDS)
        for seed in seeds:
            for subject in arguments.what:
                if any(is_of(entry, arguments, subject, seed) for entry in records_of(path)):
                    continue
                new_record = measure(arguments, subject, seed)
                appended(path, [new_record])
                print(
                    json.dumps({name: new_record[name] for name in ("what", "seed", "seconds_to")})
                )
    print_table(records_of(path), Console())


if __name__ == "__main__":
    main()
