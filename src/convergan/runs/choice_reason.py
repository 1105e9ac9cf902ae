"""The reason why an arm of a run was saved, in words."""

from collections.abc import Sequence
from typing import Protocol

from convergan.page.words import count


class HeldOut(Protocol):
    """Errors of an arm on the labelled images that were held out to choose one: None without any."""

    @property
    def held_out_errors(self) -> int | None: ...

    @property
    def held_out_size(self) -> int | None: ...


def choice_reason(saved: HeldOut, arms: Sequence[HeldOut], images: str) -> str:
    """The reason why an arm is saved, from errors on held-out images; empty without any.

    Args:
        saved: the saved arm.
        arms: all arms.
        images: name of the held-out images, after their number.
    """
    held_out = [arm.held_out_errors for arm in arms if arm.held_out_errors is not None]
    if saved.held_out_errors is None or saved.held_out_size is None or len(held_out) < 2:
        return ""
    place = f"on the {count(saved.held_out_size)} {images}"
    if saved.held_out_errors > min(held_out):
        return f"another made fewer mistakes {place}, but not clearly fewer"
    alone = held_out.count(saved.held_out_errors) == 1
    return f"it made {'the fewest mistakes' if alone else 'as few mistakes as any other'} {place}"
