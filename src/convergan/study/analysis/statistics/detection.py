"""Signal detection: d', the ability to tell generated images from real ones, and the criterion, a bias."""

import numpy as np
from scipy.special import ndtri


def detection(
    fooled: np.ndarray, generated: np.ndarray, doubted: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute each participant's d' and criterion.

    A generated image is the signal: the answer "generated" is a hit for it, and a false alarm for a real
    image.
    With z the normal quantile, d' = z(H) - z(F), c = -(z(H) + z(F)) / 2. The rates are log-linear,
    H = (hits + .5) / (generated + 1), F = (false alarms + .5) / (real + 1), so that a perfect participant
    has a finite d' (Hautus, Behavior Research Methods 27, 1995, 46-51).

    Args:
        fooled: [n], numbers of generated images taken for real.
        generated: [n], numbers of generated images judged.
        doubted: [n], numbers of real images taken for generated.
        real: [n], numbers of real images judged.

    Returns:
        d' [n]: 0 for guesses; without bias 1 means 69 % right answers, 2 means 84 %.
        criterion [n]: above 0 a bias towards "real", below 0 towards "generated".
    """
    hits = ndtri((generated - fooled + 0.5) / (generated + 1))
    false_alarms = ndtri((doubted + 0.5) / (real + 1))
    return hits - false_alarms, -(hits + false_alarms) / 2
