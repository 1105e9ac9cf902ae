"""Settings of augmentation: the random views of images in training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.recipes.base import Settings

_Share = Annotated[float, Interval(ge=0, le=1)]
_Half = Annotated[float, Interval(ge=0, le=0.5)]
_HalfTurn = Annotated[float, Interval(ge=0, le=180)]
_BelowOne = Annotated[float, Interval(ge=0, lt=1)]

_KIND_DEFAULTS: dict[str, dict[str, float]] = {
    "none": {},
    "digits": {"shift": 2 / 28, "rotation": 15, "scale": 0.1, "shear": 0.1, "cutout": 8 / 28},
    "photographs": {
        "shift": 4 / 32,
        "brightness": 0.2,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.05,
        "grey": 0.2,
        "cutout": 12 / 32,
    },
}
"""Defaults of unset numbers for each kind; 0 for numbers that are not listed."""


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings(Settings, group="augmentation"):
    """Random views of the training images, drawn afresh for each image in each step. Unlabelled images are
    shifted (weak views). Labelled images are also rotated and changed in colour. Strong views, which
    consistency compares with weak views, may also be grey and have a cutout.
    """

    kind: Literal["none", "digits", "photographs"] = "none"
    """Kind of augmentation, which decides the defaults of the settings below. `none`: images are unchanged.
    `digits`: for characters and drawings; never mirrored, and shifts are filled by repeating the border.
    `photographs`: mirrored if `data.flip` is on, and shifts are filled by reflection."""

    shift: _Half | None = None
    """Largest shift, in whole pixels, as a fraction of each side. Unset: 0.071 (2 of 28 pixels) for digits,
    0.125 (4 of 32) for photographs."""

    rotation: _HalfTurn | None = None
    """Largest rotation in either direction, in degrees. Unset: 15 for digits, 0 for photographs."""

    scale: _BelowOne | None = None
    """Largest change of size: by factors of 1 - `scale` to 1 + `scale`. Unset: 0.1 for digits, 0 for
    photographs."""

    shear: _BelowOne | None = None
    """Largest shear, in horizontal pixels per vertical pixel. Unset: 0.1 for digits, 0 for
    photographs."""

    brightness: _Share | None = None
    """Largest change of brightness, as a fraction of the range from black to white. Unset: 0 for digits, 0.2
    for photographs."""

    contrast: _Share | None = None
    """Largest change of contrast: by factors of 1 - `contrast` to 1 + `contrast`. Unset: 0 for digits,
    0.4 for photographs."""

    saturation: _Share | None = None
    """Largest change of saturation: by factors of 1 - `saturation` to 1 + `saturation`. Unset: 0 for digits,
    0.4 for photographs."""

    hue: _Half | None = None
    """Largest change of hue, as a fraction of the colour circle. Unset: 0 for digits, 0.05 for
    photographs."""

    grey: _Share | None = None
    """Fraction of the strong views that are grey. Unset: 0 for digits, 0.2 for photographs."""

    cutout: _Share | None = None
    """Side of the square that is cut out of strong views, as a fraction of the shorter side. Unset: 0.286 (8
    of 28 pixels) for digits, 0.375 (12 of 32) for photographs."""

    def amount(self, name: str) -> float:
        """The value of a setting, or the default for `kind` if it is unset."""
        value: float | None = getattr(self, name)
        if self.kind == "none":
            return 0.0
        return _KIND_DEFAULTS[self.kind].get(name, 0.0) if value is None else value
