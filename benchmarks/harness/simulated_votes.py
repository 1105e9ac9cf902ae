"""Simulated studies whose truth is known: votes that cluster by participant and by image."""

from dataclasses import fields, replace

import numpy as np
from scipy.special import expit, logit

from convergan.study.analysis.votes import Votes
from convergan.study.design.staircase import DOWN_MS, FIRST_MS, LONGEST_MS, SHORTEST_MS, UP_MS

STDEV_BETWEEN = 0.07
"""Standard deviation between participants, as among the 328 of dgm-eval's CIFAR-10 file."""


def bounded(
    rng: np.random.Generator, mean: float, stdev: float, shape: int | tuple[int, ...]
) -> np.ndarray:
    """Bell-shaped numbers of just this mean and standard deviation, all within 3 of it: added to each other
    they pass 0 or 1 so rarely that this moves a mean of .75 by less than .0002.
    """
    return mean + stdev * 3 * (2 * rng.beta(4, 4, shape) - 1)


def simulated_rates(
    rng: np.random.Generator,
    mean: float,
    *,
    participants: int = 40,
    trials: int = 100,
    runs: int = 1,
    stdev: float = STDEV_BETWEEN,
) -> np.ndarray:
    """Shares of right answers, [participants, runs]: a binomial around each participant's own rate."""
    own = bounded(rng, mean, stdev, (participants, runs))
    return rng.binomial(trials, own) / trials


def simulated_votes(
    rng: np.random.Generator,
    accuracies: dict[str, float],
    *,
    participants: int = 40,
    trials: int = 100,
    pool: int = 1000,
    stdev: float = STDEV_BETWEEN,
    stdev_of_images: float = 0.06,
    same_images: bool = False,
    learning: float = 0.0,
) -> Votes:
    """Arms with these accuracies; half of each participant's images are generated.

    Args:
        participants: in each arm.
        pool: generated images of each set, and real images for all arms.
        same_images: all arms show one set of generated images, named "set".
        learning: how much better the last trial is than the first.
    """
    effects = {"real": bounded(rng, 0, stdev_of_images, pool)}
    parts = []
    for place, (arm, mean) in enumerate(accuracies.items()):
        images = "set" if same_images else f"set {arm}"
        if images not in effects:
            effects[images] = bounded(rng, 0, stdev_of_images, pool)
        shape = participants, trials
        generated = rng.permuted(
            np.tile(np.arange(trials) < trials // 2, (participants, 1)), axis=1
        )
        right = np.broadcast_to(bounded(rng, mean, stdev, (participants, 1)), shape).copy()
        right += learning * (np.arange(trials) / (trials - 1) - 0.5)
        names = np.empty(shape, object)
        for mask, kind in ((generated, images), (~generated, "real")):
            count = int(mask[0].sum())
            indices = rng.permuted(np.tile(np.arange(pool), (participants, 1)), axis=1)[:, :count]
            right[mask] += effects[kind][indices.ravel()]
            names[mask] = np.array([f"{kind}/{number}" for number in range(pool)])[indices.ravel()]
        wrong = rng.random(shape) >= right
        people = [f"{arm}-{place}-{number:03}" for number in range(participants)]
        size = participants * trials
        parts.append(
            Votes(
                participant=np.repeat(people, trials),
                arm=np.full(size, arm),
                images=np.full(size, images),
                image=names.ravel().astype(str),
                trial=np.tile(np.arange(1, trials + 1), participants),
                generated=generated.ravel(),
                answered_generated=(generated ^ wrong).ravel(),
                response_seconds=rng.gamma(4, 0.4, size),
                feedback=np.full(size, arm.endswith("feedback") and "no feedback" not in arm),
                control=np.full(size, False),
                exposure_ms=np.full(size, np.nan),
                shown_ms=np.full(size, np.nan),
                frame_ms=np.full(size, np.nan),
            )
        )
    return joined(parts)


def timed_votes(
    rng: np.random.Generator,
    thresholds_ms: dict[str, float],
    *,
    participants: int = 40,
    trials: int = 100,
    stdev: float = 0.25,
    slope: float = 0.3,
    lapses: float = 0.02,
    pool: int = 1000,
    stdev_of_images: float = 0.0,
    frame_ms: float = 1000 / 60,
) -> Votes:
    """Timed arms of observers with these geometric mean thresholds, shown to the nearest frame.

    Args:
        stdev: of the observers' log thresholds, within each arm.
        slope: how gradually an observer goes from guessing to certain, in logarithms of the exposure.
        lapses: share of answers that are slips.
        pool: images of each kind.
        stdev_of_images: of what an image adds to the log threshold.
    """
    shape = {"participants": participants, "trials": trials, "pool": pool}
    votes = simulated_votes(rng, dict.fromkeys(thresholds_ms, 0.75), **shape)
    middle = np.concatenate(
        [np.log(mean) + bounded(rng, 0, stdev, participants) for mean in thresholds_ms.values()]
    )
    _, image = np.unique(votes.image, return_inverse=True)
    harder = bounded(rng, 0, stdev_of_images, int(image.max()) + 1)[image].reshape(-1, trials)
    exposure, right, measured = np.empty((3, len(middle), trials))
    target_ms = np.full(len(middle), float(FIRST_MS))
    for trial in range(trials):
        actual_ms = np.maximum(1, np.round(target_ms / frame_ms)) * frame_ms
        rise = expit(
            (np.log(actual_ms) - middle - harder[:, trial]) / slope + logit(0.25 / (0.5 - lapses))
        )
        exposure[:, trial], measured[:, trial] = target_ms, actual_ms
        right[:, trial] = rng.random(len(middle)) < 0.5 + (0.5 - lapses) * rise
        steps = np.where(right[:, trial], -DOWN_MS, UP_MS)
        target_ms = np.clip(target_ms + steps, SHORTEST_MS, LONGEST_MS)
    return replace(
        votes,
        answered_generated=votes.generated == right.ravel().astype(bool),
        exposure_ms=exposure.ravel(),
        shown_ms=measured.ravel(),
        frame_ms=np.full(len(votes), frame_ms),
    )


def careless(rng: np.random.Generator, votes: Votes, share: float, kind: str = "guesses") -> Votes:
    """The votes with a share of the participants of each arm answering without looking.

    Args:
        kind: "guesses": either answer, in the usual time; "hurries": either answer, at once; "repeats":
            "real" to everything.
    """
    careless_ones = []
    for arm in np.unique(votes.arm):
        people = np.unique(votes.participant[votes.arm == arm])
        careless_ones += people[: round(share * len(people))].tolist()
    rows = np.isin(votes.participant, np.array(careless_ones, str))
    answers = rng.random(len(votes)) < 0.5 if kind != "repeats" else np.full(len(votes), False)
    hurried = 0.3 if kind == "hurries" else votes.response_seconds
    return replace(
        votes,
        answered_generated=np.where(rows, answers, votes.answered_generated),
        response_seconds=np.where(rows, hurried, votes.response_seconds),
    )


def with_controls(
    rng: np.random.Generator, votes: Votes, controls: int, missed: float = 0.02
) -> Votes:
    """The votes with so many obvious fakes more of each participant, who miss this share of them."""
    people, first = np.unique(votes.participant, return_index=True)
    rows = np.repeat(first, controls)
    added = votes.chosen(rows)
    number = np.tile(np.arange(controls), len(people))
    return joined(
        [
            votes,
            replace(
                added,
                image=np.char.add("control/", number.astype(str)),
                trial=votes.trial.max() + 1 + number,
                generated=np.full(len(rows), True),
                answered_generated=rng.random(len(rows)) >= missed,
                response_seconds=rng.gamma(4, 0.4, len(rows)),
                control=np.full(len(rows), True),
            ),
        ]
    )


def joined(parts: list[Votes]) -> Votes:
    """Several studies as one."""
    return Votes(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Votes))
    )
