"""Claim: 20 % of unlabelled images of none of the classes do not ruin a run; this is what they cost.

    python benchmarks/junk.py [--seeds 5] [--runs DIR]

The classes are the digits 0 to 7, unbalanced (two classes keep 40 % of their images); the junk is 8s and
9s. The labelled and the test images are the same with and without junk.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
from rich.console import Console

from convergan.data.image_set import UNLABELLED, DataSet, data_set_from_arrays
from convergan.data.source import open_data_set
from convergan.recipes.presets import PRESETS
from convergan.runs.results import Results
from convergan.training.run import RunOptions, train
from harness.command_line import command_parser
from harness.rows import row, write_rows

SHARE = 0.2
CLASSES = 8


def eight_classes(data: DataSet, *, junk: bool) -> DataSet:
    """The digits 0 to 7 as they come, with 8s and 9s among the unlabelled."""
    assert data.test is not None
    labels, tested = data.train.labels, data.test.labels < CLASSES
    rare = np.isin(labels, (3, 6)) & (np.random.default_rng(0).random(len(labels)) < 0.6)
    indices = np.flatnonzero((labels < CLASSES) & ~rare)
    count = round(len(indices) * SHARE / (1 - SHARE)) if junk else 0
    extra = np.flatnonzero(labels >= CLASSES)[:count]
    return data_set_from_arrays(
        data.train.images[np.concatenate([indices, extra])],
        np.concatenate([labels[indices], np.full(len(extra), UNLABELLED)]),
        data.test.images[tested],
        data.test.labels[tested],
        classes=list(data.classes[:CLASSES]),
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks/junk"))
    arguments = parser.parse_args()
    data = open_data_set(PRESETS["digits"].data)
    results: dict[bool, list[Results]] = {False: [], True: []}
    for seed in range(arguments.seeds):
        for junk in (False, True):
            recipe = replace(PRESETS["digits"], labels=10 * CLASSES, seed=seed)
            results[junk].append(
                train(
                    recipe,
                    arguments.runs / f"{'junk' if junk else 'clean'}-{seed}",
                    data=eight_classes(data, junk=junk),
                    options=RunOptions(resume=True),
                    console=Console(quiet=True),
                )
            )
        print(
            f"seed {seed}: {[results[junk][-1].test_errors for junk in (False, True)]}",
            flush=True,
        )
    errors = {junk: [result.test_errors for result in runs] for junk, runs in results.items()}
    baseline = [result.baseline_test_errors for result in results[True]]
    first = results[True][0]
    path = write_rows(
        "junk",
        [
            row(
                claim="20 % junk among the unlabelled images is survived",
                setting=f"digits 0 to 7, 80 labels, 8s and 9s unlabelled, {arguments.seeds} seeds",
                device=first.device,
                precision=first.precision,
                ours=mean(errors[True]),
                peer=mean(errors[False]),
                peer_name="the same without junk",
                unit=f"errors of {first.test_size}",
                repeats=arguments.seeds,
                ours_by_seed=errors[True],
                peer_by_seed=errors[False],
                baseline_by_seed=baseline,
            )
        ],
    )
    print(
        f"junk {mean(errors[True]):.1f}, clean {mean(errors[False]):.1f}, "
        f"supervised baseline {mean(baseline):.1f} errors of {first.test_size}; {path}"
    )


if __name__ == "__main__":
    main()
