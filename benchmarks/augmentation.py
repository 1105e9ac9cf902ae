"""Claim: the views of a training step take fewer CPU seconds than kornia's of the same kind.

    python benchmarks/augmentation.py [--repeats 40]

It needs kornia: `pip install --no-deps kornia==0.9.0 kornia_rs==0.2.0`. It times, on one thread, the views
of a step of 32 labelled and 96 unlabelled images, the unlabelled ones once weak and once strong. The floor
is a copy of the images, timed in turn. Both sides draw parameters for each image. kornia's shifts are of
fractions of pixels and interpolate: its `RandomCrop`, which shifts by whole pixels, works image by image.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from convergan.data.augmentation import Augmentation
from convergan.recipes.augmentation import AugmentationSettings
from harness.command_line import command_parser
from harness.measure import Seconds, Task, interleaved_times, medians
from harness.rows import timing, write_rows

View = Callable[[Tensor], Tensor]

SETTINGS = [("digits", (1, 28, 28)), ("photographs", (3, 32, 32)), ("photographs", (3, 128, 128))]
LABELLED, UNLABELLED = 32, 96


def our_views(kind: Any) -> dict[str, View]:
    """The three views of this package, of pixels from 0 to 1."""
    augmentation = Augmentation(AugmentationSettings(kind=kind), flip=True)
    return {
        name: lambda images, name=name: getattr(augmentation, name)(images, (0.0, 1.0))
        for name in ("weak", "labelled", "strong")
    }


def kornia_views(kind: str) -> dict[str, View]:
    """The same of kornia's operations."""
    from kornia import augmentation as k

    number = AugmentationSettings(kind=kind).amount  # type: ignore[arg-type]
    cutout = number("cutout") ** 2
    erasing = k.RandomErasing(scale=(cutout, cutout), ratio=(1.0, 1.0), value=0.5, p=1.0)
    if kind == "digits":
        shift = (number("shift"), number("shift"))
        moving = [k.RandomAffine(0.0, translate=shift, padding_mode="border", p=1.0)]
        # In degrees, whose tangents are the greatest.
        shear = math.degrees(math.atan(number("shear")))
        changing = [
            k.RandomAffine(
                number("rotation"),
                translate=shift,
                scale=(1 - number("scale"), 1 + number("scale")),
                shear=(-shear, shear),
                padding_mode="border",
                p=1.0,
            )
        ]
        strong = [*changing, erasing]
    else:
        moving = [
            k.RandomHorizontalFlip(p=0.5),
            k.RandomAffine(
                0.0, translate=(number("shift"), number("shift")), padding_mode="reflection", p=1.0
            ),
        ]
        colours = k.ColorJiggle(
            number("brightness"), number("contrast"), number("saturation"), number("hue"), p=1.0
        )
        changing = [*moving, colours]
        strong = [*changing, k.RandomGrayscale(p=number("grey")), erasing]
    return {
        name: k.AugmentationSequential(*operations, data_keys=["input"])
        for name, operations in (("weak", moving), ("labelled", changing), ("strong", strong))
    }


def step(views: dict[str, View], labelled: Tensor, unlabelled: Tensor) -> None:
    """All views of a step."""
    views["labelled"](labelled)
    views["weak"](unlabelled)
    views["strong"](unlabelled)


def cpu_seconds(task: Task) -> Seconds:
    """CPU seconds of a task: on a shared machine it may have to wait for the CPU."""
    start = time.process_time()
    task()
    return Seconds(time.process_time() - start)


def compare(kind: str, shape: tuple[int, int, int], *, repeats: int) -> dict[str, Any]:
    """The row of one kind of views of images of this shape."""
    labelled, unlabelled = torch.rand(LABELLED, *shape), torch.rand(UNLABELLED, *shape)
    own_views, peer_views = our_views(kind), kornia_views(kind)
    tasks = {
        "ours": lambda: step(own_views, labelled, unlabelled),
        "peer": lambda: step(peer_views, labelled, unlabelled),
        "copy": lambda: [images.clone() for images in (labelled, unlabelled, unlabelled)],
    }
    timed = {name: partial(cpu_seconds, task) for name, task in tasks.items()}
    times = interleaved_times(timed, repeats=repeats)
    channels, height, width = shape
    return timing(
        claim="the views of a step take fewer CPU seconds than kornia's",
        setting=f"{kind}, {width}x{height} px, {channels} channel{'s' * (channels > 1)}; {LABELLED} labelled,"
        f" {UNLABELLED} weak, {UNLABELLED} strong views",
        device="cpu, 1 thread",
        precision="fp32",
        times=times,
        peer="peer",
        peer_name="kornia 0.9.0",
        floor=medians(times)["copy"],
        unit="CPU seconds",
        repeats=repeats,
    )


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind, shape in SETTINGS:
        rows.append(compare(kind, shape, repeats=arguments.repeats))
        print(
            f"{rows[-1]['setting']}: ours {rows[-1]['ours'] * 1e3:.2f} ms, kornia"
            f" {rows[-1]['peer'] * 1e3:.2f} ms, a copy {rows[-1]['floor'] * 1e3:.2f} ms"
        )
    print(write_rows("augmentation", rows))


if __name__ == "__main__":
    main()
