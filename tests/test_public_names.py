"""The public names work and are documented, and documentation and examples use no other names."""

import ast
import doctest
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import convergan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAMES = [name for name in convergan.__all__ if name != "__version__"]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

# Each of them has an example that runs.
TASKS = [
    *(
        "train",
        "rehearse",
        "predict",
        "evaluate",
        "sample",
        "score",
        "load_classifier",
        "load_generator",
    ),
    *("read_recipe", "data_set_from_arrays", "Classifier", "precision_recall_density_coverage"),
    *("frechet_distance", "load_inception"),
]


def module_of(name: str) -> str:
    """Module in which a name is defined, according to the stub."""
    return convergan._MODULE_OF[name]


def page_of(name: str) -> Path:
    """Page where a name belongs: that of scores for metrics, of statistics for a study's, and so on."""
    pages = {"metrics": "scores", "study": "study-statistics", "techniques": "techniques"}
    pages |= {"networks": "techniques", "distributed": "techniques"}
    if ".terms" in module_of(name):
        return DOCS / "terms.md"
    return DOCS / f"{pages.get(module_of(name).split('.')[1], 'python')}.md"


def snippets_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def prose_of(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


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
    page = page_of(name)
    assert re.search(rf"`{name}\b", prose_of(page)), f"{page.name} does not tell of {name}"


def test_the_snippets_use_all_techniques() -> None:
    snippets = "\n".join(snippets_of(DOCS / "techniques.md"))
    techniques = [name for name in NAMES if page_of(name).name == "techniques.md"]
    assert len(techniques) > 15
    assert [name for name in techniques if not re.search(rf"\b{name}\b", snippets)] == []


def private_names(code: str) -> list[str]:
    """Names that a script takes from the package and that are not public."""
    private = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            private += [alias.name for alias in node.names if alias.name.startswith("convergan.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("convergan"):
            names = [alias.name for alias in node.names]
            public = node.module == "convergan" and set(names) <= set(convergan.__all__)
            private += [] if public else [f"{node.module}: {', '.join(names)}"]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "convergan":
            private += [] if node.attr in convergan.__all__ else [f"convergan.{node.attr}"]
    return private


def test_private_names_are_seen() -> None:
    public = "import convergan\nfrom convergan import train\nconvergan.score"
    assert private_names(public) == []
    for code in (
        "from convergan.training.run import train",
        "import convergan.errors",
        "from convergan import training",
        "import convergan\nconvergan.training",
    ):
        assert len(private_names(code)) == 1, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_documentation_uses_public_names_alone(page: Path) -> None:
    assert [name for code in snippets_of(page) for name in private_names(code)] == []


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda e: e.name)
def test_the_examples_use_public_names_alone(example: Path) -> None:
    assert private_names(example.read_text(encoding="utf-8")) == []


def test_recipes_need_no_torch() -> None:
    code = (
        "import sys; from convergan import PRESETS, Recipe, UserError, ScoreSettings, read_recipe; "
    )
    code += "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_type_checkers_see_every_name_as_it_is(tmp_path: Path) -> None:
    """The stub that they read re-exports what `import convergan` loads, and nothing else."""
    stub = ast.parse((ROOT / "src" / "convergan" / "__init__.pyi").read_text(encoding="utf-8"))
    exported = {}
    for statement in stub.body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                # Only `X as X` is handed on by a stub.
                assert alias.asname == alias.name
                exported[alias.name] = statement.module
    assert list(exported) == NAMES
    for name, module in exported.items():
        assert getattr(convergan, name) is getattr(sys.modules[str(module)], name)


@pytest.mark.usefixtures("quick_digits", "unchecked_shapes", "empty_charts")
@pytest.mark.parametrize("name", TASKS)
def test_the_example_of_a_docstring_runs(
    name: str, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_run, "runs/mine")
    docstring = inspect.getdoc(getattr(convergan, name)) or ""
    test = doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)
    assert test.examples
    output: list[str] = []
    assert doctest.DocTestRunner().run(test, out=output.append).failed == 0, "".join(output)


def test_every_task_has_an_example() -> None:
    own = {"convergan.training", "convergan.inference", "convergan.runs"}
    tasks = [
        name
        for name in NAMES
        if module_of(name).rpartition(".")[0] in own
        and inspect.isfunction(getattr(convergan, name))
    ]
    assert len(tasks) >= 6 and set(tasks) <= set(TASKS)
