"""Damages every kind of file that convergan reads, thousands of times, and counts what comes of it.

    python tests/fuzz/run.py [--tries 3000] [--seed 1] [--kinds NAME ...] [--number N]

`--tries` are those of all kinds together; kinds that train take a tenth of their share. A trial is known by
its kind, seed and number: `--kinds NAME --number N` does one of them again, and prints all that it says.
Exit code 0: each was refused in one line, or succeeded, and no checksum was passed over.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.kinds import KINDS
from fuzz.trials import VERDICTS, Kind, Trials, try_kind

SLOW = frozenset(
    {
        "checkpoint, resumed",
        "recipe.yaml, resumed",
        "manifest.json, resumed",
        "metrics.jsonl, resumed",
    }
)
"""Kinds whose trials train, a third of a second each."""

_SHARE_OF_SLOW = 0.1


def tries_of(kind: Kind, tries: int) -> int:
    """Number of tries of one kind, at least 1, out of those of all kinds."""
    shares = {member.name: _SHARE_OF_SLOW if member.name in SLOW else 1.0 for member in KINDS}
    return max(1, round(tries * shares[kind.name] / sum(shares.values())))


def _line(name: str, trials: list[Trials]) -> str:
    counts = [sum(group.counts[verdict] for group in trials) for verdict in VERDICTS]
    return f"{name:34}{sum(counts):7,}" + "".join(f"{count:>16,}" for count in counts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=[kind.name for kind in KINDS])
    parser.add_argument("--number", type=int, help="of a single trial")
    parser.add_argument("--seconds", type=float, default=60, help="after which a trial hangs")
    arguments = parser.parse_args()
    print(f"{'':34}{'tried':>7}" + "".join(f"{verdict:>16}" for verdict in VERDICTS))
    every = []
    for kind in KINDS:
        if arguments.kinds and kind.name not in arguments.kinds:
            continue
        numbers = range(tries_of(kind, arguments.tries))
        if arguments.number is not None:
            numbers = range(arguments.number, arguments.number + 1)
        trials = try_kind(kind, numbers, seed=arguments.seed, seconds=arguments.seconds)
        print(_line(kind.name, [trials]), flush=True)
        every.append(trials)
    print(_line("all", every))
    bad = [trial for trials in every for trial in trials.bad]
    for trial in bad:
        print(
            f"\n{trial.kind}, number {trial.number} ({trial.damage}): {trial.verdict}\n{trial.detail}"
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
