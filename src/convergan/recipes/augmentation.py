"""Settings of the views that training makes of its images."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from convergan.recipes.base import Settings

_Share = Annotated[float, Interval(ge=0, le=1)]
_Half = Annotated[float, Interval(ge=0, le=0.5)]
_HalfTurn = Annotated[float, Interval(ge=0, le=180)]
_BelowOne = Annotated[float, Interval(ge=0, lt=1)]

_OF_KIND: dict[str, dict[str, float]] = {
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
"""What an unset number is for each kind; 0 where none stands here."""


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings(Settings, group="augmentation"):
    """Other images of the same classes that training sees in place of the images themselves, drawn anew for
    each image of each step. Unlabelled images are shifted (weak view); labelled ones are also turned and
    coloured; strong views, which consistency compares with weak ones, are also made grey and cut."""

    kind: Literal["none", "digits", "photographs"] = "none"
    """`none`: images as they are. `digits`: characters and drawings, never mirrored; what a shift brings in
    repeats the border. `photographs`: mirrored if `data.flip` is on; what a shift brings in is a reflection.
    Numbers below that are not set have the kind's values."""

    shift: _Half | None = None
    """Largest shift, as a share of each side, in whole pixels. Unset: 0.071 (2 of 28 pixels) for digits,
    0.125 (4 of 32) for photographs."""

    rotation: _HalfTurn | None = None
    """Largest rotation, in degrees to either side. Unset: 15 for digits, 0 for photographs."""

    scale: _BelowOne | None = None
    """Largest change of the size: by factors of 1 - `scale` to 1 + `scale`. Unset: 0.1 for digits, 0 for
    photographs."""

    shear: _BelowOne | None = None
    """Largest slant, in pixels to the side for each pixel upwards. Unset: 0.1 for digits, 0 for
    photographs."""

    brightness: _Share | None = None
    """Largest change of the brightness, as a share of the range from black to white. Unset: 0 for digits, 0.2
    for photographs."""

    contrast: _Share | None = None
    """Largest change of the contrast: by factors of 1 - `contrast` to 1 + `contrast`. Unset: 0 for digits,
    0.4 for photographs."""

    saturation: _Share | None = None
    """Largest change of the saturation, as of the contrast. Unset: 0 for digits, 0.4 for photographs."""

    hue: _Half | None = None
    """Largest change of the hue, as a share of the circle of colours. Unset: 0 for digits, 0.05 for
    photographs."""

    grey: _Share | None = None
    """Share of the strong views without any colour. Unset: 0 for digits, 0.2 for photographs."""

    cutout: _Share | None = None
    """Side of the square that is cut out of strong views, as a share of the shorter side. Unset: 0.286 (8 of
    28 pixels) for digits, 0.375 (12 of 32) for photographs."""

    def amount(self, name: str) -> float:
        """The number of this name: the one that is set, or else the kind's."""
        value: float | None = getattr(self, name)
        if self.kind == "none":
            return 0.0
        return _OF_KIND[self.kind].get(name, 0.0) if value is None else value
