"""Signal detection: how well generated images are told apart, and which answer comes more easily."""

import numpy as np
from scipy.special import ndtri


def detection(
    fooled: np.ndarray, generated: np.ndarray, doubted: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """d' and criterion of each participant.

    A generated image is the signal: "generated" for it is a hit, "generated" for a real one a false alarm.
    With z the normal quantile, d' = z(H) - z(F), c = -(z(H) + z(F)) / 2. The rates are log-linear,
    H = (hits + .5) / (generated + 1), F = (false alarms + .5) / (real + 1), so that a perfect participant
    has a finite d' (Hautus, Behavior Research Methods 27, 1995, 46-51).

    Args:
        fooled: [n], generated images taken for real.
        generated: [n], generated images judged.
        doubted: [n], real images taken for generated.
        real: [n], real images judged.

    Returns:
        d' [n]: 0 cannot tell; without a bias 1 is right in 69 % of the trials, 2 in 84 %.
        criterion [n]: above 0 leans to "real", below 0 to "generated".
    """
    hits = ndtri((generated - fooled + 0.5) / (generated + 1))
    false_alarms = ndtri((doubted + 0.5) / (real + 1))
    return hits - false_alarms, -(hits + false_alarms) / 2
