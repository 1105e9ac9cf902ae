"""Which of the images that the arms answer differently tell most."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convergan.report.inputs import Disagreement, Disagreements

MOST_SHOWN = 24
"""Largest number of images in the report that the arms disagree on."""


def disagreements(
    labels: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    classes: Sequence[str],
    image: Callable[[int], np.ndarray],
    name: Callable[[int], str],
) -> Disagreements | None:
    """The images that the arms answer differently, and the most telling of them.

    An arm's answer is its most probable class. Images of which one arm is right and another wrong come
    before those that all arms have wrong; among each the one with the most certain mistake comes first, and
    of equals the earlier one.

    Args:
        labels: the true classes [images], each a place in `classes`.
        probabilities: of each arm, by its name, [images, classes], for the same images in the same order.
        classes: their names.
        image: gives the image of a place, uint8 [height, width, channels].
        name: gives the name of a place.

    Returns:
        None for fewer than two arms.
    """
    if len(probabilities) < 2:
        return None
    # [arms, images]
    answers = np.stack([each.argmax(axis=1) for each in probabilities.values()])
    confidences = np.stack([each.max(axis=1) for each in probabilities.values()])
    right = answers == labels
    differing = (answers != answers[0]).any(axis=0)
    surest_mistake = np.where(right, 0, confidences).max(axis=0)
    # The last key counts first.
    order = np.lexsort((-surest_mistake, ~right.any(axis=0), ~differing))
    found = int(differing.sum())
    return Disagreements(
        shown=[
            Disagreement(
                image=image(place),
                name=name(place),
                label=classes[labels[place]],
                answers={
                    arm: classes[answer]
                    for arm, answer in zip(probabilities, answers[:, place], strict=True)
                },
                confidences={
                    arm: float(confidence)
                    for arm, confidence in zip(probabilities, confidences[:, place], strict=True)
                },
            )
            for place in order[: min(found, MOST_SHOWN)].tolist()
        ],
        count=found,
        size=len(labels),
    )
