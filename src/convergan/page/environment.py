"""Templates that escape their values, with the common macros and style of pages."""

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup, escape

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


def whole_options(text: str) -> Markup:
    """The text with every name of an option, such as `--batch-size`, kept on one line where it fits."""
    # Plain text: Markup would escape the tags as well.
    escaped = str(escape(text))
    return Markup(
        re.sub(r"(?<![\w-])--[a-z][\w.*-]*[\w*]", r'<span class="option">\g<0></span>', escaped)
    )
