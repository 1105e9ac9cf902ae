"""Selection of images on which the arms disagree."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convergan.report.inputs import Disagreement, Disagreements

MOST_SHOWN = 24
"""Largest number of images in the report on which the arms disagree."""


def disagreements(
    labels: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    classes: Sequence[str],
    image: Callable[[int], np.ndarray],
    name: Callable[[int], str],
) -> Disagreements | None:
    """The images on which the arms disagree, the most informative ones first.

    An arm's answer is its most probable class. Images that one arm classifies correctly and another does not
    come before those that all arms misclassify; within each group the image with the most confident mistake
    comes first, and of equals the earlier one.

    Args:
        labels: the true classes [images], indices into `classes`.
        probabilities: probabilities [images, classes] of each arm, by its name, for the same images in the
            same order.
        classes: names of the classes.
        image: function from an index to the image, uint8 [height, width, channels].
        name: function from an index to the image's name.

    Returns:
        None for fewer than two arms.
    """
    if len(probabilities) < 2:
        return None
    # [arms, images]
    answers = np.stack([rows.argmax(axis=1) for rows in probabilities.values()])
    confidences = np.stack([rows.max(axis=1) for rows in probabilities.values()])
    right = answers == labels
    differing = (answers != answers[0]).any(axis=0)
    surest_mistake = np.where(right, 0, confidences).max(axis=0)
    # The last key counts first.
    order = np.lexsort((-surest_mistake, ~right.any(axis=0), ~differing))
    number = int(differing.sum())
    return Disagreements(
        examples=[
            Disagreement(
                image=image(index),
                name=name(index),
                label=classes[labels[index]],
                answers={
                    arm: classes[answer]
                    for arm, answer in zip(probabilities, answers[:, index], strict=True)
                },
                confidences={
                    arm: float(confidence)
                    for arm, confidence in zip(probabilities, confidences[:, index], strict=True)
                },
            )
            for index in order[: min(number, MOST_SHOWN)].tolist()
        ],
        count=number,
        size=len(labels),
    )
