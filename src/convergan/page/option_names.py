"""The names of options in the text of a page."""

import re

from markupsafe import Markup, escape


def whole_options(text: str) -> Markup:
    """The text with every name of an option, such as `--batch-size`, kept on one line where it fits."""
    # Plain text: Markup would escape the tags as well.
    escaped = str(escape(text))
    return Markup(
        re.sub(r"(?<![\w-])--[a-z][\w.*-]*[\w*]", r'<span class="option">\g<0></span>', escaped)
    )
