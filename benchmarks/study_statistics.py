"""Claim: a study's intervals hold the truth as often as they say, and its tests err as seldom as they say.

    python benchmarks/study_statistics.py [--runs 1000] [--replicates 2000]

1,000 simulated studies each: 40 participants an arm, 100 votes each, a standard deviation of .07 between
participants and .06 between images. `peer` is what a page that pools all votes gives: Wilson's interval, or a
test of two proportions.
"""

import argparse
from typing import Any

import numpy as np
from scipy.stats import norm

from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.intervals import expanded_percentiles, wilson
from convergan.statistics.permutation import permutation_p_value
from convergan.study.power import power_of_difference
from convergan.study.statistics.two_way import MEASURES, two_way_replicates
from rows import row, write_rows
from simulated_votes import joined, simulated_rates, simulated_votes

PARTICIPANTS, TRIALS = 40, 100
_BATCH = 50


def participant_coverage(runs: int, replicates: int) -> list[dict[str, Any]]:
    """Of the interval over participants, with images whose effects do not matter."""
    found = []
    for participants in (10, 25, PARTICIPANTS):
        truth = 0.75
        rates = simulated_rates(
            np.random.default_rng(1), truth, participants=participants, runs=runs
        )
        bounds = [
            expanded_percentiles(
                mean_replicates(
                    rates[:, start : start + _BATCH], np.random.default_rng(start), replicates
                ),
                participants,
            )
            for start in range(0, runs, _BATCH)
        ]
        low, high = (np.concatenate(each) for each in zip(*bounds, strict=True))
        naive = [wilson(round(total), participants * TRIALS) for total in rates.sum(0) * TRIALS]
        found.append(
            _row(
                "the interval over participants holds the truth in 93 to 97 % of studies",
                f"{participants} participants, {TRIALS} votes each",
                ours=((low <= truth) & (truth <= high)).mean(),
                peer=np.mean([each[0] <= truth <= each[1] for each in naive]),
                peer_name="Wilson's interval of the pooled votes",
                unit="share of studies whose 95 % interval holds the truth",
                runs=runs,
                replicates=replicates,
            )
        )
    return found


def two_way_coverage(runs: int, replicates: int) -> list[dict[str, Any]]:
    """Of the interval over participants and images, where the images' effects are new in every study."""
    found = []
    truths = np.array([0.75, 0.25, 0.25])[:, None]
    for pool, setting in (
        (TRIALS // 2, "all participants see the same 100 images"),
        (1000, "1,000 generated and 1,000 real images, about 2 votes each"),
    ):
        rng = np.random.default_rng(pool)
        covered, naive, widths, means = [], [], [], []
        for _ in range(0, runs, _BATCH):
            arms = [f"{n:02}" for n in range(_BATCH)]
            # Runs stand side by side as arms of one study; each has images' effects of its own.
            votes = joined(
                [simulated_votes(rng, {arm: 0.75}, pool=pool, same_images=True) for arm in arms]
            )
            low, high = expanded_percentiles(
                two_way_replicates(votes, arms, rng, replicates), PARTICIPANTS
            )
            covered.append((low <= truths) & (truths <= high))
            widths.append((high - low)[0])
            right = (~votes.wrong).reshape(_BATCH, -1).sum(1)
            means.append(right / (PARTICIPANTS * TRIALS))
            bounds = [wilson(int(each), PARTICIPANTS * TRIALS) for each in right]
            naive.append([each[0] <= 0.75 <= each[1] for each in bounds])
        share = np.concatenate(covered, axis=1).mean(1)
        needed = 2 * norm.ppf(0.975) * np.concatenate(means).std(ddof=1)
        found.append(
            _row(
                "the interval over participants and images holds the truth in at least 93 % of studies",
                setting,
                ours=share[0],
                peer=np.mean(naive),
                peer_name="Wilson's interval of the pooled votes",
                unit="share of studies whose 95 % interval of the accuracy holds the truth",
                runs=runs,
                replicates=replicates,
                width_over_needed=float(np.concatenate(widths).mean() / needed),
                **{name: float(each) for name, each in zip(MEASURES[1:], share[1:], strict=True)},
            )
        )
    return found


def differences(runs: int, permutations: int) -> list[dict[str, Any]]:
    """How often two arms are said to differ, by permutation and by a test of two pooled proportions."""
    found = []
    for first, second, claim in (
        (0.75, 0.75, "arms that do not differ are said to in at most 6 % of studies"),
        (0.787, 0.714, "the paper's difference is found in at least 80 % of studies"),
    ):
        rng = np.random.default_rng(3)
        one, other = (simulated_rates(rng, mean, runs=runs) for mean in (first, second))
        p_values = np.concatenate(
            [
                permutation_p_value(
                    one[:, n : n + _BATCH], other[:, n : n + _BATCH], rng, permutations
                )
                for n in range(0, runs, _BATCH)
            ]
        )
        both = (one.mean(0) + other.mean(0)) / 2
        error = np.sqrt(2 * both * (1 - both) / (PARTICIPANTS * TRIALS))
        pooled = 2 * norm.sf(np.abs(one.mean(0) - other.mean(0)) / error)
        found.append(
            _row(
                claim,
                f"{100 * first:g} % against {100 * second:g} %, {PARTICIPANTS} participants an arm, "
                f"{TRIALS} votes each",
                ours=(p_values < 0.05).mean(),
                peer=(pooled < 0.05).mean(),
                peer_name="a test of two proportions on the pooled votes",
                unit="share of studies with p below .05",
                runs=runs,
                replicates=permutations,
                predicted=power_of_difference(PARTICIPANTS, TRIALS, first - second),
            )
        )
    return found


def _row(claim: str, setting: str, *, runs: int, **rest: Any) -> dict[str, Any]:
    rest["ours"], rest["peer"] = float(rest["ours"]), float(rest["peer"])
    print(f"{claim}\n    {setting}: {rest['ours']:.3f} (naive {rest['peer']:.3f})", flush=True)
    return row(
        claim=claim, setting=setting, device="cpu", precision="64-true", repeats=runs, **rest
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=2000)
    arguments = parser.parse_args()
    runs, replicates = arguments.runs, arguments.replicates
    found = participant_coverage(runs, replicates)
    found += two_way_coverage(runs, replicates)
    found += differences(runs, replicates)
    print(write_rows("study-statistics", found))


if __name__ == "__main__":
    main()
