"""Claim: what a study's report says holds as often as it says: intervals, tests, verdicts, thresholds.

    python benchmarks/study_statistics.py [--runs 1000]

Simulated studies whose truth is known. `peer` is what a page that takes votes for independent, or images for
fixed, or everybody for attentive would have said of the same votes.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.intervals import expanded_percentiles, wilson
from convergan.study.arms import equivalence_of
from convergan.study.attention import attention
from convergan.study.comparisons import compare_all
from convergan.study.conclusion import conclude
from convergan.study.estimates import Estimates
from convergan.study.power import power_of_difference
from convergan.study.rates import MARGIN, Rates, rates_of
from convergan.study.screens import Screens, flag, without_flagged
from convergan.study.thresholds import Thresholds
from convergan.study.votes import Votes
from rows import row, write_rows
from simulated_votes import careless, simulated_rates, simulated_votes, timed_votes, with_controls

PARTICIPANTS, TRIALS = 40, 100
_BATCH = 50

# Participants, trials, images of each kind, standard deviation of images: few and many of either.
SETTINGS = (
    (5, 40, 20, 0.06),
    (10, 40, 20, 0.1),
    (10, 40, 200, 0.06),
    (40, 100, 50, 0.06),
    (40, 40, 20, 0.15),
    (60, 60, 30, 0.15),
    (40, 100, 1000, 0.06),
    (40, 100, 1000, 0.0),
    (100, 100, 100, 0.1),
)


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
                table="participants",
            )
        )
    return found


def crossed_coverage(runs: int) -> list[dict[str, Any]]:
    """Of the interval over participants and images, at few and many of either."""
    found = []
    for participants, trials, pool, of_images in SETTINGS:
        for truth in (0.7, 0.9):
            rng = np.random.default_rng([participants, pool, round(100 * truth)])
            covered, naive, reaches, values = [], [], [], []
            for _ in range(runs):
                # Near the end of the scale images and people can differ less.
                less = 1.0 if truth == 0.7 else 0.3
                votes = simulated_votes(
                    rng, {"a": truth}, participants=participants, trials=trials, pool=pool,
                    stdev_of_images=less * of_images, stdev=less * 0.07,
                )  # fmt: skip
                tested = _estimates(votes).tested("a")
                assert tested is not None
                low, high = tested.estimate.interval()
                covered.append(low <= truth <= high)
                reaches.append((high - low) / 2)
                values.append(tested.estimate.value)
                bounds = wilson(int((~votes.wrong).sum()), len(votes))
                naive.append(bounds.low <= truth <= bounds.high)
            found.append(
                _row(
                    "the interval over participants and images holds the truth in 93 to 97 % of studies",
                    f"{_setting(participants, trials, pool, of_images)}, {100 * truth:g} % right",
                    ours=np.mean(covered),
                    peer=np.mean(naive),
                    peer_name="Wilson's interval of the pooled votes",
                    unit="share of studies whose 95 % interval holds the truth",
                    runs=runs,
                    table="participants and images",
                    width_over_needed=float(
                        np.mean(reaches) / (norm.ppf(0.975) * np.std(values, ddof=1))
                    ),
                )
            )
    return found


def false_differences(runs: int) -> list[dict[str, Any]]:
    """How often two samples of one generator are said to differ, and the paper's difference is found."""
    found = []
    for participants, trials, pool, of_images in SETTINGS:
        rng = np.random.default_rng([participants, pool])
        both, alone = [], []
        for _ in range(runs):
            votes = simulated_votes(
                rng, {"a": 0.75, "b": 0.75}, participants=participants, trials=trials, pool=pool,
                stdev_of_images=of_images,
            )  # fmt: skip
            both.append(_p_value(_estimates(votes)) < 0.05)
            alone.append(_p_value(Estimates(rates_of(votes), None, rng, 1)) < 0.05)
        found.append(
            _row(
                "two samples of one generator are said to differ in at most 7 % of studies",
                _setting(participants, trials, pool, of_images),
                ours=np.mean(both),
                peer=np.mean(alone),
                peer_name="Welch's t over participants alone",
                unit="share of studies with p below .05",
                runs=runs,
                table="differences",
            )
        )
    rng = np.random.default_rng(3)
    seen = [
        _p_value(_estimates(simulated_votes(rng, {"a": 0.787, "b": 0.714}))) < 0.05
        for _ in range(runs)
    ]
    found.append(
        _row(
            "the paper's difference is found in at least 80 % of studies",
            f"78.7 % against 71.4 %, {PARTICIPANTS} participants an arm, {TRIALS} votes each",
            ours=np.mean(seen),
            peer=power_of_difference(PARTICIPANTS, TRIALS, 0.073),
            peer_name="power_of_difference",
            unit="share of studies with p below .05",
            runs=runs,
            table="power",
        )
    )
    return found


def carelessness(runs: int) -> list[dict[str, Any]]:
    """How often "indistinguishable" is said of images that those who look tell in 75 % of the trials."""
    found = []
    for kind, shares in (
        ("guesses", (0.0, 0.3, 0.6, 0.9)),
        ("hurries", (0.9,)),
        ("repeats", (0.9,)),
    ):
        for share in shares:
            for controls in (0, 8):
                said, unscreened = _said_of_careless(runs, kind, share, controls, 0.75)
                found.append(
                    _row(
                        "with controls, images that people tell are called indistinguishable in at most 5 % "
                        "of studies"
                        if controls
                        else "without controls, it is never said without a reserve",
                        f"{100 * share:g} % {_KINDS[kind]}, {controls} controls",
                        ours=np.mean([each == "indistinguishable" for each in said]),
                        peer=np.mean(unscreened),
                        peer_name="the test of equivalence of everybody's accuracy",
                        unit='share of studies that say "indistinguishable"',
                        runs=runs,
                        table="careless",
                        with_a_reserve=float(np.mean(["not assessed" in each for each in said])),
                        everyone_flagged=float(np.mean(["flagged" in each for each in said])),
                    )
                )
    said, unscreened = _said_of_careless(runs, "guesses", 0.0, 8, 0.5)
    found.append(
        _row(
            "images that nobody tells are called indistinguishable in at least 80 % of studies",
            "nobody careless, 8 controls",
            ours=np.mean([each == "indistinguishable" for each in said]),
            peer=np.mean(unscreened),
            peer_name="the test of equivalence of everybody's accuracy",
            unit='share of studies that say "indistinguishable"',
            runs=runs,
            table="careless",
        )
    )
    return found


_KINDS = {
    "guesses": "guess in the usual time",
    "hurries": "guess at once",
    "repeats": 'answer "real" to everything',
}


def _said_of_careless(
    runs: int, kind: str, share: float, controls: int, accuracy: float
) -> tuple[list[str], list[bool]]:
    rng = np.random.default_rng([round(100 * share), controls, len(kind)])
    said, unscreened = [], []
    for _ in range(runs):
        votes = simulated_votes(rng, {"a": accuracy}, participants=PARTICIPANTS, trials=TRIALS)
        if controls:
            votes = with_controls(rng, votes, controls)
        votes = careless(rng, votes, share, kind)
        everybody = equivalence_of(_estimates(votes.judged).tested("a"), MARGIN, None)
        unscreened.append(everybody is not None and everybody.equivalent)
        kept, emptied = without_flagged(votes, flag(votes, Screens()))
        tested, looked = _estimates(kept.judged).tested("a"), attention(kept)
        said.append(
            "everyone flagged"
            if emptied
            else conclude(
                tested.estimate if tested else None, equivalence_of(tested, MARGIN, looked), looked
            )
        )
    return said, unscreened


def many_arms(runs: int) -> list[dict[str, Any]]:
    """False differences among equal arms, and true ones found, however many arms there are."""
    found = []
    for arms in (2, 7, 20, 41):
        some = max(2, runs // arms)
        equal = [_arms_that_differ(arms, 0.0, seed) for seed in range(some)]
        apart = [_arms_that_differ(arms, 0.35, seed) for seed in range(max(2, some // 4))]
        pairs = arms * (arms - 1) // 2
        found.append(
            _row(
                "among equal arms some difference is found in at most 7 % of studies",
                f"{arms} arms of 25 participants, {TRIALS} votes each",
                ours=np.mean([each > 0 for each in equal]),
                peer=float(pairs / 10_001 < 0.05),
                peer_name="whether 10,000 permutations could find a difference at all",
                unit="share of studies with some p (Holm) below .05",
                runs=some,
                table="arms",
                found_where_arms_spread_by_35_points=float(np.mean(apart) / pairs),
            )
        )
    return found


def _arms_that_differ(arms: int, spread: float, seed: int) -> int:
    """How many comparisons of arms show a difference."""
    rng = np.random.default_rng([arms, seed])
    means = 0.7 + spread * (np.linspace(0, 1, arms) - 0.5)
    wrong = 1 - np.concatenate(
        [simulated_rates(rng, mean, participants=25, stdev=0.04)[:, 0] for mean in means]
    )
    arm = np.repeat([f"{place:02}" for place in range(arms)], 25)
    half = np.full(len(arm), TRIALS / 2)
    rates = Rates(np.arange(len(arm)).astype(str), arm, arm, half, half, wrong, wrong)
    estimates = Estimates(rates, None, rng, 1)
    return sum(
        pair.p_holm is not None and pair.p_holm < 0.05
        for pair in compare_all(estimates, estimates.arms)
    )


def thresholds(runs: int) -> list[dict[str, Any]]:
    """What people need, read from their staircases: how far off, and how often within the interval."""
    found = []
    for truth in (150, 320, 700):
        for trials, pool, of_images in ((60, 1000, 0.0), (100, 1000, 0.0), (100, 60, 0.3)):
            rng = np.random.default_rng([truth, trials, pool])
            read, covered, late = [], [], []
            for _ in range(runs):
                votes = timed_votes(
                    rng, {"a": truth}, trials=trials, pool=pool, stdev_of_images=of_images
                )
                estimate = Thresholds(votes).of("a")
                assert estimate is not None
                bounds = estimate.exposure_ms.participants_and_images
                read.append(estimate.exposure_ms.value)
                covered.append(bounds is not None and bounds.low <= truth <= bounds.high)
                late.append(_mean_of_the_late(votes, trials))
            found.append(
                _row(
                    "the interval of a threshold holds the truth in 93 to 97 % of studies",
                    f"{truth} ms, {trials} trials, {2 * pool:,} images, standard deviation of images "
                    f"{of_images:g}",
                    ours=np.mean(covered),
                    peer=np.mean(late) / truth,
                    peer_name="what the mean exposure after 40 trials reads, in multiples of the truth",
                    unit="share of studies whose 95 % interval holds the truth",
                    runs=runs,
                    table="thresholds",
                    read_over_truth=float(np.mean(read) / truth),
                )
            )
    return found


def _mean_of_the_late(votes: Votes, trials: int) -> float:
    return float(votes.exposure_ms.reshape(-1, trials)[:, 40:].mean())


def _estimates(votes: Votes) -> Estimates:
    return Estimates(rates_of(votes), votes, np.random.default_rng(0), 1)


def _p_value(estimates: Estimates) -> float:
    [pair] = compare_all(estimates, estimates.arms)
    return 1.0 if pair.p_value is None else pair.p_value


def _setting(participants: int, trials: int, pool: int, of_images: float) -> str:
    return (
        f"{participants} participants, {trials} votes each, {2 * pool:,} images, standard deviation of "
        f"images {of_images:g}"
    )


def _row(claim: str, setting: str, *, runs: int, **rest: Any) -> dict[str, Any]:
    rest["ours"], rest["peer"] = float(rest["ours"]), float(rest["peer"])
    print(f"{claim}\n    {setting}: {rest['ours']:.3f} ({rest['peer']:.3f})", flush=True)
    return row(
        claim=claim, setting=setting, device="cpu", precision="64-true", repeats=runs, **rest
    )


PARTS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "participants": lambda runs: participant_coverage(runs, 2000),
    "images": crossed_coverage,
    "differences": false_differences,
    "careless": carelessness,
    "arms": many_arms,
    "thresholds": thresholds,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    found = [each for part in arguments.parts for each in PARTS[part](arguments.runs)]
    if set(arguments.parts) == set(PARTS):
        print(write_rows("study-statistics", found))


if __name__ == "__main__":
    main()
