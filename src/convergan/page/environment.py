"""Templates that escape what they are given, with the macros and the style that pages share."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from convergan.page.option_names import whole_options
from convergan.page.words import chance, count, number, percent


def templates(package: str) -> Environment:
    """The templates in the folder of `package`; those of this package are theirs as `page/<name>`."""
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
