"""Claim: intervals, tests, verdicts and thresholds of a study's report hold as often as they say.

    python benchmarks/study_statistics.py [--runs 1000] [--parts PART ...]

Simulated studies whose truth is known. The peer is a page that takes votes for independent, or images for
fixed, or everybody for attentive, on the same votes. Each row is written as soon as it is measured: the
same command continues with the rows that the same code has not measured yet.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from convergan.json_files import read_json
from convergan.statistics.bootstrap import mean_replicates
from convergan.statistics.intervals import expanded_percentiles, wilson
from convergan.study.analysis.arms import equivalence_of
from convergan.study.analysis.attention import attention
from convergan.study.analysis.comparisons import compare_all
from convergan.study.analysis.conclusion import conclude
from convergan.study.analysis.estimates import Estimates
from convergan.study.analysis.rates import MARGIN, Rates, rates_of
from convergan.study.analysis.screens import Screens, flag, without_flagged
from convergan.study.analysis.thresholds import Thresholds
from convergan.study.analysis.votes import Votes
from convergan.study.design.power import power_of_difference
from harness.command_line import command_parser
from harness.rows import GIT_COMMIT, results_path, row, write_rows
from harness.simulated_votes import (
    careless,
    simulated_rates,
    simulated_votes,
    timed_votes,
    with_controls,
)

NAME = "study-statistics"
PARTICIPANTS, TRIALS = 40, 100
_BATCH = 50
_REPLICATES = 2000

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

# Trials, images of each kind, standard deviation of what they add to a log threshold, slope:
# the one on which the prior of the fit is centred, and twice that.
TIMED_SETTINGS = (
    (60, 1000, 0.0, 0.3),
    (100, 1000, 0.0, 0.3),
    (100, 60, 0.3, 0.3),
    (60, 1000, 0.0, 0.6),
    (100, 1000, 0.0, 0.6),
)

_HOLDS = "share of studies whose 95 % interval holds the truth"
_SIGNIFICANT = "share of studies with p below .05"

Measured = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row."""

    table: str
    claim: str
    setting: str
    peer_name: str
    unit: str

    measure: Callable[[int], Measured]
    """Simulates so many studies; gives `ours`, `peer` and what else the row has."""

    divisor: int = 1
    """Divisor of the number of studies, where one takes long."""

    def repeats(self, runs: int) -> int:
        return max(2, runs // self.divisor)

    def row(self, runs: int) -> dict[str, Any]:
        """Measure."""
        repeats = self.repeats(runs)
        measured = {name: float(value) for name, value in self.measure(repeats).items()}
        print(
            f"{self.claim}\n    {self.setting}: {measured['ours']:.3f} ({measured['peer']:.3f})",
            flush=True,
        )
        return row(
            claim=self.claim,
            setting=self.setting,
            device="cpu",
            precision="64-true",
            peer_name=self.peer_name,
            unit=self.unit,
            repeats=repeats,
            table=self.table,
            **measured,
        )


def participant_cases() -> Iterator[Case]:
    """Coverage of the interval over participants, with images whose effects do not matter."""
    for participants in (10, 25, PARTICIPANTS):
        yield Case(
            table="participants",
            claim="the interval over participants holds the truth in 93 to 97 % of studies",
            setting=f"{participants} participants, {TRIALS} votes each",
            peer_name="Wilson's interval of the pooled votes",
            unit=_HOLDS,
            measure=partial(_over_participants, participants),
        )


def _over_participants(participants: int, runs: int) -> Measured:
    truth = 0.75
    rates = simulated_rates(np.random.default_rng(1), truth, participants=participants, runs=runs)
    bounds = [
        expanded_percentiles(
            mean_replicates(
                rates[:, start : start + _BATCH], np.random.default_rng(start), _REPLICATES
            ),
            participants,
        )
        for start in range(0, runs, _BATCH)
    ]
    low, high = (np.concatenate(values) for values in zip(*bounds, strict=True))
    naive = [wilson(round(total), participants * TRIALS) for total in rates.sum(0) * TRIALS]
    return {
        "ours": ((low <= truth) & (truth <= high)).mean(),
        "peer": np.mean([values[0] <= truth <= values[1] for values in naive]),
    }


def crossed_cases() -> Iterator[Case]:
    """Coverage of the interval over participants and images, at few and many of either."""
    for setting in SETTINGS:
        for truth in (0.7, 0.9):
            yield Case(
                table="participants and images",
                claim="the interval over participants and images holds the truth in 93 to 97 % of studies",
                setting=f"{_setting(*setting)}, {100 * truth:g} % right",
                peer_name="Wilson's interval of the pooled votes",
                unit=_HOLDS,
                measure=partial(_over_both, setting, truth),
            )


def _over_both(setting: tuple[int, int, int, float], truth: float, runs: int) -> Measured:
    participants, trials, pool, image_stdev = setting
    rng = np.random.default_rng([participants, pool, round(100 * truth)])
    covered, naive, reaches, values = [], [], [], []
    for _ in range(runs):
        # Near the end of the scale images and people can differ less.
        factor = 1.0 if truth == 0.7 else 0.3
        votes = simulated_votes(
            rng, {"a": truth}, participants=participants, trials=trials, pool=pool,
            stdev_of_images=factor * image_stdev, stdev=factor * 0.07,
        )  # fmt: skip
        tested = _estimates(votes).tested("a")
        assert tested is not None
        low, high = tested.estimate.interval()
        covered.append(low <= truth <= high)
        reaches.append((high - low) / 2)
        values.append(tested.estimate.value)
        bounds = wilson(int((~votes.wrong).sum()), len(votes))
        naive.append(bounds.low <= truth <= bounds.high)
    return {
        "ours": np.mean(covered),
        "peer": np.mean(naive),
        "width_over_needed": np.mean(reaches) / (norm.ppf(0.975) * np.std(values, ddof=1)),
    }


def difference_cases() -> Iterator[Case]:
    """False differences between two samples of one generator, and power for the paper's difference."""
    for setting in SETTINGS:
        yield Case(
            table="differences",
            claim="two samples of one generator are said to differ in at most 7 % of studies",
            setting=_setting(*setting),
            peer_name="Welch's t over participants alone",
            unit=_SIGNIFICANT,
            measure=partial(_false_alarms_of_one_generator, setting),
        )
    for timed in TIMED_SETTINGS:
        yield Case(
            table="differences",
            claim="two timed arms that take the same exposure are said to differ in at most 7 % of studies",
            setting=_timed_setting(320, *timed),
            peer_name="the interval of their ratio over participants alone",
            unit=_SIGNIFICANT,
            measure=partial(_false_alarms_of_one_threshold, timed),
        )
    yield Case(
        table="power",
        claim="the paper's difference is found in at least 80 % of studies",
        setting=f"78.7 % against 71.4 %, {PARTICIPANTS} participants an arm, {TRIALS} votes each",
        peer_name="power_of_difference",
        unit=_SIGNIFICANT,
        measure=_power_of_paper_study,
    )


def _false_alarms_of_one_generator(setting: tuple[int, int, int, float], runs: int) -> Measured:
    participants, trials, pool, image_stdev = setting
    rng = np.random.default_rng([participants, pool])
    crossed, alone = [], []
    for _ in range(runs):
        votes = simulated_votes(
            rng, {"a": 0.75, "b": 0.75}, participants=participants, trials=trials, pool=pool,
            stdev_of_images=image_stdev,
        )  # fmt: skip
        crossed.append(_p_value(_estimates(votes)) < 0.05)
        alone.append(_p_value(Estimates(rates_of(votes), None, rng, 1)) < 0.05)
    return {"ours": np.mean(crossed), "peer": np.mean(alone)}


def _false_alarms_of_one_threshold(setting: tuple[int, int, float, float], runs: int) -> Measured:
    trials, pool, image_stdev, slope = setting
    rng = np.random.default_rng([trials, pool])
    crossed, alone = [], []
    for _ in range(runs):
        votes = timed_votes(
            rng, {"a": 320, "b": 320},
            trials=trials, pool=pool, stdev_of_images=image_stdev, slope=slope,
        )  # fmt: skip
        [pair] = Thresholds(votes).comparisons()
        bounds = pair.ratio.participants
        crossed.append(pair.p_value is not None and pair.p_value < 0.05)
        alone.append(bounds is not None and not bounds.low <= 1 <= bounds.high)
    return {"ours": np.mean(crossed), "peer": np.mean(alone)}


def _power_of_paper_study(runs: int) -> Measured:
    rng = np.random.default_rng(3)
    significant = [
        _p_value(_estimates(simulated_votes(rng, {"a": 0.787, "b": 0.714}))) < 0.05
        for _ in range(runs)
    ]
    return {"ours": np.mean(significant), "peer": power_of_difference(PARTICIPANTS, TRIALS, 0.073)}


_KINDS = {
    "guesses": "guess in the usual time",
    "hurries": "guess at once",
    "repeats": 'answer "real" to everything',
}


def careless_cases() -> Iterator[Case]:
    """Verdicts "indistinguishable" on images that attentive people tell apart in 75 % of the trials."""
    for kind, shares in (
        ("guesses", (0.0, 0.3, 0.6, 0.9)),
        ("hurries", (0.9,)),
        ("repeats", (0.9,)),
    ):
        for share in shares:
            for controls in (0, 8):
                claim = (
                    "with controls, images that people can tell apart are called indistinguishable in at most"
                    " 5 % of studies"
                    if controls
                    else "without controls, it is never said without a caveat"
                )
                people = f"{100 * share:g} % {_KINDS[kind]}" if share else "nobody careless"
                yield _careless_case(claim, people, kind, share, controls, 0.75)
    yield _careless_case(
        "images that nobody can tell apart are called indistinguishable in at least 80 % of studies",
        "images that nobody can tell apart, nobody careless", "guesses", 0.0, 8, 0.5,
    )  # fmt: skip


def _careless_case(
    claim: str, people: str, kind: str, share: float, controls: int, accuracy: float
) -> Case:
    return Case(
        table="careless",
        claim=claim,
        setting=f"{people}, {controls or 'no'} controls",
        peer_name="the test of equivalence of everybody's accuracy",
        unit='share of studies that say "indistinguishable"',
        measure=partial(_said_of_careless, kind, share, controls, accuracy),
    )


def _said_of_careless(
    kind: str, share: float, controls: int, accuracy: float, runs: int
) -> Measured:
    rng = np.random.default_rng([round(100 * share), controls, len(kind)])
    conclusions, unscreened = [], []
    for _ in range(runs):
        votes = simulated_votes(rng, {"a": accuracy}, participants=PARTICIPANTS, trials=TRIALS)
        if controls:
            votes = with_controls(rng, votes, controls)
        votes = careless(rng, votes, share, kind)
        pooled = equivalence_of(_estimates(votes.judged).tested("a"), MARGIN, None)
        unscreened.append(pooled is not None and pooled.equivalent)
        screened, emptied = without_flagged(votes, flag(votes, Screens()))
        tested, looked = _estimates(screened.judged).tested("a"), attention(screened)
        conclusions.append(
            "everyone flagged"
            if emptied
            else conclude(
                tested.estimate if tested else None, equivalence_of(tested, MARGIN, looked), looked
            )
        )
    return {
        "ours": np.mean([conclusion == "indistinguishable" for conclusion in conclusions]),
        "peer": np.mean(unscreened),
        "with_a_caveat": np.mean(["not assessed" in conclusion for conclusion in conclusions]),
        "everyone_flagged": np.mean(
            [conclusion == "everyone flagged" for conclusion in conclusions]
        ),
    }


def arms_cases() -> Iterator[Case]:
    """False differences among equal arms, and true ones found, however many arms there are."""
    for arms in (2, 7, 20, 41):
        yield Case(
            table="arms",
            claim="among equal arms some difference is found in at most 7 % of studies",
            setting=f"{arms} arms of 25 participants, {TRIALS} votes each",
            peer_name="whether 10,000 permutations could find a difference at all",
            unit="share of studies with some p (Holm) below .05",
            measure=partial(_false_alarms_of_many_arms, arms),
            divisor=max(1, arms // 5),
        )


def _false_alarms_of_many_arms(arms: int, runs: int) -> Measured:
    pairs = arms * (arms - 1) // 2
    equal = [_arms_that_differ(arms, 0.0, seed) for seed in range(runs)]
    unequal = [_arms_that_differ(arms, 0.35, seed) for seed in range(max(2, runs // 8))]
    return {
        "ours": np.mean([count > 0 for count in equal]),
        "peer": float(pairs / 10_001 < 0.05),
        "found_where_arms_spread_by_35_points": np.mean(unequal) / pairs,
    }


def _arms_that_differ(arms: int, spread: float, seed: int) -> int:
    """The number of comparisons of arms that show a difference."""
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


def threshold_cases() -> Iterator[Case]:
    """Thresholds read from staircases: their error, and how often the interval holds the truth."""
    for truth in (150, 320, 700):
        for setting in TIMED_SETTINGS:
            yield Case(
                table="thresholds",
                claim="the interval of a threshold holds the truth in 93 to 97 % of studies",
                setting=_timed_setting(truth, *setting),
                peer_name="what the mean exposure after 40 trials reads, in multiples of the truth",
                unit=_HOLDS,
                measure=partial(_coverage_of_threshold, truth, setting),
            )


def _coverage_of_threshold(
    truth: float, setting: tuple[int, int, float, float], runs: int
) -> Measured:
    trials, pool, image_stdev, slope = setting
    rng = np.random.default_rng([truth, trials, pool])
    values, covered, late, reaches = [], [], [], []
    for _ in range(runs):
        votes = timed_votes(
            rng, {"a": truth}, trials=trials, pool=pool, stdev_of_images=image_stdev, slope=slope
        )
        estimate = Thresholds(votes).threshold("a")
        assert estimate is not None
        bounds = estimate.exposure_ms.participants_and_images
        values.append(estimate.exposure_ms.value)
        covered.append(bounds is not None and bounds.low <= truth <= bounds.high)
        reaches.append(math.inf if bounds is None else (bounds.high / bounds.low) ** 0.5)
        late.append(votes.exposure_ms.reshape(-1, trials)[:, 40:].mean())
    return {
        "ours": np.mean(covered),
        "peer": np.mean(late) / truth,
        "read_over_truth": np.median(values) / truth,
        "interval_factor": np.median(reaches),
    }


def _estimates(votes: Votes) -> Estimates:
    return Estimates(rates_of(votes), votes, np.random.default_rng(0), 1)


def _p_value(estimates: Estimates) -> float:
    [pair] = compare_all(estimates, estimates.arms)
    return 1.0 if pair.p_value is None else pair.p_value


def _setting(participants: int, trials: int, pool: int, image_stdev: float) -> str:
    return (
        f"{participants} participants, {trials} votes each, {2 * pool:,} images, standard deviation of "
        f"images {image_stdev:g}"
    )


def _timed_setting(truth: float, trials: int, pool: int, image_stdev: float, slope: float) -> str:
    return (
        f"{truth} ms, {PARTICIPANTS} participants, {trials} trials, {2 * pool:,} images, standard deviation "
        f"of images {image_stdev:g}, slope {slope:g}"
    )


PARTS: dict[str, Callable[[], Iterator[Case]]] = {
    "participants": participant_cases,
    "images": crossed_cases,
    "differences": difference_cases,
    "careless": careless_cases,
    "arms": arms_cases,
    "thresholds": threshold_cases,
}


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="simulated studies in each setting")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    path = results_path(NAME)
    rows_by_key = {_key(entry): entry for entry in (read_json(path) if path.exists() else [])}
    order = [case for part in PARTS.values() for case in part()]
    for part in arguments.parts:
        for case in PARTS[part]():
            previous = rows_by_key.get(_key(case))
            state = previous and (previous["git_commit"], previous["repeats"])
            if state is None or state != (GIT_COMMIT, case.repeats(arguments.runs)):
                rows_by_key[_key(case)] = case.row(arguments.runs)
                write_rows(
                    NAME,
                    [rows_by_key[_key(entry)] for entry in order if _key(entry) in rows_by_key],
                )
    print(path)


def _key(entry: Case | dict[str, Any]) -> tuple[str, str]:
    return (
        (entry.claim, entry.setting)
        if isinstance(entry, Case)
        else (entry["claim"], entry["setting"])
    )


if __name__ == "__main__":
    main()
