"""The documentation site: what `make docs` cannot see, and what would be wrong without a warning."""

import re
from pathlib import Path

import pytest

import convergan
from api_pages import documentation, names_of, recipe_documentation
from docstrings import as_rst

DOCS = Path(__file__).parents[1] / "docs"


def directives(page: Path, name: str) -> list[str]:
    """The lines of each directive of this name: its argument, then its content."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```\{{{name}\}} *(.*?)^```$", text, re.S | re.M)


def entries(page: Path) -> list[Path]:
    """The pages in the tables of contents of a page."""
    lines = [line for toctree in directives(page, "toctree") for line in toctree.splitlines()]
    names = [line for line in lines if line and not line.startswith(":")]
    return [page.parent / (re.sub(r".*<(.*)>", r"\1", name) + ".md") for name in names]


def test_the_table_of_contents_has_every_page_once() -> None:
    pages, waiting = [], [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        pages.append(page)
        waiting += entries(page)
    assert sorted(pages) == sorted(DOCS.rglob("*.md"))


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    parts = [
        arguments.splitlines()[0]
        for page in sorted((DOCS / "api").glob("*.md"))
        for arguments in directives(page, "public-names")
    ]
    names = [name for words in parts for name in names_of(words.split())]
    assert sorted(names) == sorted(set(convergan.__all__) - {"__version__"})


def test_the_techniques_come_in_the_order_of_the_paper() -> None:
    """Look for the helpers of several processes at the end."""
    (arguments,) = directives(DOCS / "api" / "techniques.md", "public-names")
    names = names_of(arguments.splitlines()[0].split())
    first = ["feature_matching_loss", "MinibatchDiscrimination", "HistoricalAveraging"]
    assert names[:4] == [*first, "one_sided_smoothing_loss"]
    assert set(names[-2:]) == {"gather_rows", "mean_over_ranks"}
    assert len(set(names)) == len(names)


def test_a_docstring_is_shown_as_it_reads() -> None:
    docstring = [
        "The distance |a - b|, *summed* over `features` by `predict` or `convergan.sample`s.",
        "",
        "    d = sum_k |a_k - b_k|   * not an item",
        "",
        "    e = `d`",
        "",
        "* An item with `a",
        "  span` of two lines.",
        "",
        "Args:",
        "    first: of shape_.",
        "",
        "    second: `x`.",
        "",
        "Example:",
        "    >>> f(*a, `b`)",
    ]
    assert as_rst(docstring) == [
        r"The distance \|a - b\|, \*summed\* over ``features`` by :py:obj:`~convergan.predict`"
        r" or :py:obj:`~convergan.sample`\ s.",
        *("", "::", ""),
        "    d = sum_k |a_k - b_k|   * not an item",
        "",
        "    e = `d`",
        "",
        "* An item with ``a",
        "  span`` of two lines.",
        *("", "Args:"),
        r"    first: of shape\_.",
        "",
        "    second: ``x``.",
        *("", "Example:"),
        "    >>> f(*a, `b`)",
        "",
    ]


def test_a_setting_is_documented_with_its_option_range_and_default() -> None:
    text = "\n".join(documentation("OptimizerSettings"))
    assert ".. py:attribute:: learning_rate\n" in text and ":value: 0.003\n" in text
    assert "``optimizer.learning-rate``: a number, above 0, at most 100." in text
    assert "Learning rate of both players." in text
    # Of the class that it is derived from.
    assert "Fraction of the run over which the weight rises" in "\n".join(
        documentation("ConsistencySettings")
    )


@pytest.mark.parametrize("name", [name for name in convergan.__all__ if name.endswith("Settings")])
def test_every_setting_is_described(name: str) -> None:
    text = "\n".join(documentation(name))
    fields = re.split(r"^   \.\. py:attribute:: ", text, flags=re.M)[1:]
    assert fields
    for field in fields:
        # Its option and what it takes, then what it is.
        assert len(re.findall(r"^      [^ :].*", field, re.M)) > 1, field


def test_a_recipe_is_documented_by_its_file_and_what_it_changes() -> None:
    text = "\n".join(recipe_documentation("svhn"))
    assert text.startswith("## `svhn`\n\nSVHN as in Section 6.3 and the authors' code.\n")
    assert "epochs: 900\n" in text and "source: svhn\n" in text
    assert "\nseed:" not in text
