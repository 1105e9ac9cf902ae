"""One word for one thing: a name of the package stands for at most two classes, in areas that do not meet."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "convergan"

MOST_PER_NAME = 2
"""Most classes of a name."""


def class_names(source: str) -> Iterator[str]:
    """Names of classes, and of aliases of types at the top of a module."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z]\w*[a-z]\w*", target.id):
                    yield target.id


def repeated(sources: Mapping[str, str]) -> Iterator[str]:
    files = defaultdict(list)
    for file, source in sources.items():
        for name in class_names(source):
            files[name].append(file)
    for name, found_in in sorted(files.items()):
        if len(found_in) > MOST_PER_NAME:
            yield f"{name}: expected at most {MOST_PER_NAME} classes of this name, got {found_in}"


def test_no_class_name_has_three_meanings() -> None:
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert len(sources) > 200
    problems = list(repeated(sources))
    assert not problems, "\n".join(problems)


def test_a_class_name_of_three_files_is_reported() -> None:
    sources = {
        "a.py": "class Row:\n    class Cell: ...\n",
        "b.py": "Row = tuple[str, int]\nLIMIT = 3\n",
        "c.py": "LIMIT = 3\n",
        "d.py": "LIMIT = 3\nclass Cell: ...\n",
    }
    assert list(repeated(sources)) == []
    sources["e.py"] = "def f():\n    class Row: ...\n"
    assert list(repeated(sources)) == [
        "Row: expected at most 2 classes of this name, got ['a.py', 'b.py', 'e.py']"
    ]
