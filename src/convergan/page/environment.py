"""Templates that escape their values, with the common macros and style of pages."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from convergan.page.option_names import whole_options
from convergan.page.words import chance, count, number, percent


def templates(package: str) -> Environment:
    """The templates in the folder of `package`, which can use those of this package as `page/<name>`."""
    shared = PrefixLoader({"page": PackageLoader("convergan.page", "")})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "chance": chance,
        "count": count,
        "number": number,
        "percent": percent,
        "whole_options": whole_options,
    }
    return environment
