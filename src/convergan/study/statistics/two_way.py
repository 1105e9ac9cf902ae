"""The pigeonhole bootstrap: other participants, and other images as well.

Every vote belongs to a participant and to an image, and both kinds of clusters are samples: an interval
that holds the images fixed says nothing of the generator's other images. No bootstrap of such crossed data
has the right variance (McCullagh, Bernoulli 6, 2000, 285-301). The pigeonhole bootstrap draws participants
and images independently, and gives a vote the product of how often its participant and its image were
drawn: of the variances of participants, images and single votes it counts the first two once (and a little
more) and the last three times, so it errs on the wide side (Owen, Annals of Applied Statistics 1, 2007,
386-411). Weights drawn independently for each cluster (Owen and Eckles, the same journal 6, 2012, 895-927)
err alike; they are made for streams, where counts are not known, while drawn counts keep the number of
participants and images in every replicate.
"""

import numpy as np
from scipy.sparse import csr_array, vstack

from convergan.statistics.batches import replicates_at_once
from convergan.statistics.bootstrap import REPLICATES, draw_grouped_counts
from convergan.study.votes import Votes

MEASURES = ("accuracy", "error_on_generated", "error_on_real")

_REPLICATES_AT_ONCE = 250


def two_way_replicates(
    votes: Votes, arms: list[str], rng: np.random.Generator, replicates: int = REPLICATES
) -> np.ndarray:
    """Each arm's means over participants, in studies with other participants and other images.

    Participants are drawn within their arm, generated images within their set (one of two sets in the first
    of them), real ones among themselves. Arms that show the same images share their draws: differences of
    replicates are replicates of the difference.

    Returns:
        [replicates, 3, arms]: the MEASURES, as shares; NaN where a replicate has no such votes in an arm.
    """
    participants, first, row = np.unique(votes.participant, return_index=True, return_inverse=True)
    images, seen, column = np.unique(votes.image, return_index=True, return_inverse=True)
    # Participants of one arm stand side by side, so that an arm is a range of rows.
    arm = np.array([arms.index(each) for each in votes.arm[first]])
    order = np.argsort(arm, kind="stable")
    row = np.argsort(order)[row]
    starts = np.searchsorted(arm[order], np.arange(len(arms)))
    of_arm = np.split(np.arange(len(participants)), starts[1:])
    generated = votes.generated[seen]
    kind = np.where(generated, np.char.add("generated ", votes.images[seen]), "real")
    of_kind = [np.flatnonzero(kind == each) for each in np.unique(kind)]

    def table(mask: np.ndarray) -> csr_array:
        ones = np.ones(int(mask.sum()))
        return csr_array((ones, (row[mask], column[mask])), shape=(len(participants), len(images)))

    sums = vstack(
        [
            table(votes.generated & votes.wrong),
            table(~votes.generated & votes.wrong),
            table(votes.generated),
            table(~votes.generated),
        ],
        format="csr",
    )
    found = np.empty((replicates, len(MEASURES), len(arms)))
    step = min(_REPLICATES_AT_ONCE, replicates_at_once(len(participants) + len(images)))
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        of_images = draw_grouped_counts(of_kind, len(images), size, rng).T.astype(float, order="C")
        of_participants = draw_grouped_counts(of_arm, len(participants), size, rng).T.astype(
            float, order="C"
        )
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: none of the participant's images drawn
            for measure, rates in enumerate(_rates(*np.split(sums @ of_images, 4))):
                drawn = of_participants * ~np.isnan(rates)
                total = np.add.reduceat(drawn * np.nan_to_num(rates), starts)
                found[start : start + size, measure] = (total / np.add.reduceat(drawn, starts)).T
    return found


def _rates(
    fooled: np.ndarray, doubted: np.ndarray, generated: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The MEASURES, [participants, replicates] each."""
    accuracy = 1 - (fooled + doubted) / (generated + real)
    return accuracy, fooled / generated, doubted / real
