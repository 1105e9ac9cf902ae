"""Small image folders of a user's own, drawn with a seed."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("circles", "squares", "stripes")


def draw(kind: str, generator: np.random.Generator, size_px: int = 32) -> np.ndarray:
    """A coloured shape on a noisy background: uint8 [size_px, size_px, 3]."""
    rows, columns = np.mgrid[:size_px, :size_px]
    middle = generator.uniform(0.4, 0.6, 2) * size_px
    radius = generator.uniform(0.2, 0.35) * size_px
    if kind == "circles":
        mask = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
    elif kind == "squares":
        mask = np.maximum(abs(rows - middle[0]), abs(columns - middle[1])) < radius
    elif kind == "stripes":
        mask = (rows + generator.integers(size_px)) % 8 < 4
    else:
        mask = generator.random((size_px, size_px)) < generator.uniform(0.2, 0.8)
    colours = generator.uniform(0, 255, (2, 3))
    image = np.where(mask[..., None], *colours) + generator.normal(0, 12, (size_px, size_px, 3))
    return image.clip(0, 255).astype(np.uint8)


def png_bytes(image: np.ndarray) -> bytes:
    """A PNG file's content: of uint8 [height, width, 3], or grey [height, width]."""
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def write_folder(
    folder: Path,
    *,
    labelled: int,
    unlabelled: int = 0,
    test: int = 0,
    seed: int = 0,
    size_px: int = 32,
) -> Path:
    """Write <class>/*.png, and unlabelled/ and test/<class>/ if asked to; numbers are per class."""
    generator = np.random.default_rng(seed)
    for kind in CLASSES:
        for place, count in (
            (folder / kind, labelled),
            (folder / "unlabelled", unlabelled),
            (folder / "test" / kind, test),
        ):
            for number in range(count):
                place.mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(draw(kind, generator, size_px))
                image.save(place / f"{kind}-{number:03d}.png")
    return folder
