"""Base of all settings of a recipe."""

from typing import ClassVar

from convergan.ranges import Checked


class Settings(Checked):
    """Base of groups of settings: a name that is not declared is refused when read from a file."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
