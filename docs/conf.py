"""Settings of the documentation site: `make docs` builds it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "convergan"
author = "the authors of convergan"
project_copyright = "the authors of convergan, Apache-2.0"
version = release = version_of("convergan")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "api_pages",
    "docstrings",
    "source_pages",
]
exclude_patterns = ["_*"]

myst_enable_extensions = ["colon_fence"]
# The headings that a link may lead to, named as GitHub names them.
myst_heading_anchors = 4
# Figures, formulas and what commands print are no language.
highlight_language = "none"
smartquotes = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# Of torch and torchmetrics.
autodoc_inherit_docstrings = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# A name of this package leads somewhere; what stands here is returned or held, and said elsewhere what it is.
nitpicky = True
nitpick_ignore = [
    ("py:class", f"convergan.{name}")
    for name in (
        "data.stored_images.StoredImages",
        "metrics.inception.InceptionNetwork",
        "networks.interface.Generator",
        "scoring.embedding.Embedding",
        "scoring.embedding.Embeddings",
        "scoring.inputs.ScoreInputs",
    )
]

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "convergan"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# The first page has its own ways in.
html_sidebars = {"index": []}
