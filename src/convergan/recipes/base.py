"""Base of all settings of a recipe."""

from typing import ClassVar

from convergan.ranges import Checked


class Settings(Checked):
    """Base of groups of settings. A file with a name that is not declared is refused."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
