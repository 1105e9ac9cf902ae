"""Every public name has a docstring and a place in the documentation."""

import inspect
import re
from pathlib import Path

import pytest

import convergan

DOCS = Path(__file__).parents[1] / "docs"
NAMES = [name for name in convergan.__all__ if name != "__version__"]


def page_of(name: str) -> Path:
    """Where a name belongs: metrics are told of with the scores."""
    is_metric = ".metrics." in getattr(convergan, name).__module__
    return DOCS / ("scores.md" if is_metric else "techniques.md")


def lacks_docstrings(value: object) -> list[str]:
    """The names of a class or function and its own public methods that have no docstring."""
    parts = {"": value}
    if inspect.isclass(value):
        # What torch and torchmetrics ask of every module is documented there.
        usual = {"extra_repr", "forward", "update", "compute", "reset"}
        parts |= {
            name: part
            for name, part in vars(value).items()
            if not name.startswith("_") and name not in usual and inspect.isroutine(part)
        }
    return [
        name for name, part in parts.items() if not (getattr(part, "__doc__", "") or "").strip()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_docstrings(name: str) -> None:
    assert lacks_docstrings(getattr(convergan, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented_where_it_belongs(name: str) -> None:
    text = page_of(name).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    assert re.search(rf"`{name}\b", prose), f"{page_of(name).name} does not tell of {name}"


def test_the_snippets_use_all_techniques() -> None:
    snippets = "\n".join(
        re.findall(
            r"^```python\n(.*?)^```", (DOCS / "techniques.md").read_text(), flags=re.S | re.M
        )
    )
    techniques = [name for name in NAMES if page_of(name).name == "techniques.md"]
    assert len(techniques) > 15
    assert [name for name in techniques if not re.search(rf"\b{name}\b", snippets)] == []
