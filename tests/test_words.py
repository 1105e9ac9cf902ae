"""The check of words finds each kind of fault, and nothing else."""

import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "check_words.py"))


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    return [fault.message for fault in CHECK["faults"](path)]


@pytest.mark.parametrize(
    "text",
    [
        '"""What a run came to."""',
        'class Checkpoints:\n    """Of the newest checkpoints."""',
        'def errors():\n    """How many predictions are wrong."""',
        'SIZE = 3\n"""One of the sizes."""',
        'SIZE = 3\n"""`Whether` it fits."""',
        '""""""',
    ],
)
def test_a_docstring_that_needs_the_name_above_it_is_a_fault(text: str, tmp_path: Path) -> None:
    (message,) = faults(tmp_path, text)
    assert message.startswith("the docstring ")


def test_a_page_begins_as_a_docstring_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Training\n\nFrom a recipe to a run.\n\nOf all runs.\n", encoding="utf-8")
    (fault,) = CHECK["faults"](page)
    assert fault.line == 3 and fault.message.startswith("the paragraph must begin with a noun")
    page.write_text("# Runs\n\nTraining of a run.\n\n## Scores\n\n[What](x.md) it is.\n", "utf-8")
    (fault,) = CHECK["faults"](page)
    assert fault.line == 7
    page.write_text("# Runs\n\nTraining of a run.\n", encoding="utf-8")
    assert list(CHECK["faults"](page)) == []


@pytest.mark.parametrize("verb", ["Writes", "Computes", "Prepares", "Finds"])
def test_a_function_whose_docstring_is_not_imperative_is_a_fault(verb: str, tmp_path: Path) -> None:
    text = f'"""{verb} files."""\nasync def f():\n    """{verb} a file."""'
    assert faults(tmp_path, text) == [
        f"the docstring of a function must be in the imperative, got '{verb}'"
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("each = 1", "each"),
        ("def f(given, /): ...", "given"),
        ("f = lambda *, it: 0", "it"),
        ("a, *rest = rows", "rest"),
        ("class C:\n    shown: int", "shown"),
        ("self.wanted = 1", "wanted"),
        ("_AT = 2", "_AT"),
        ("found_2 = 1", "found_2"),
        ("of_rank = 1", "of_rank"),
        ("import numpy as other", "other"),
        ("try: ...\nexcept OSError as this: ...", "this"),
        ("sum(some for some in rows)", "some"),
    ],
)
def test_a_name_that_does_not_say_what_its_value_is_is_a_fault(
    text: str, name: str, tmp_path: Path
) -> None:
    assert faults(tmp_path, text) == [f"the name must say what the value is, got {name!r}"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def found(): ...", "found"),
        ("async def _of_batch(): ...", "_of_batch"),
        ("class C:\n    @property\n    def both(self): ...", "both"),
        ("def build():\n    def apart(): ...", "apart"),
    ],
)
def test_a_name_that_does_not_say_what_its_function_does_is_a_fault(
    text: str, name: str, tmp_path: Path
) -> None:
    message = f"the name must say what the function returns or does, got {name!r}"
    assert faults(tmp_path, text) == [message]


@pytest.mark.parametrize("name", ["Both", "_Anything", "Drawn"])
def test_a_name_that_does_not_say_what_its_class_is_is_a_fault(name: str, tmp_path: Path) -> None:
    message = f"the name must say what the class is, got {name!r}"
    assert faults(tmp_path, f"class {name}: ...") == [message]


@pytest.mark.parametrize(
    "text",
    [
        '"""The results of a run."""',
        'def f():\n    """Read a file; what it holds."""',
        'SIZE = 3\n"""One number for each class."""',
        "each_row = found_rows = offset = 1",
        "written: str  # words: a key of the file",
        "def chosen():  # words: a public name\n    ...",
        "class Reader:\n    def read(self): ...\n    def _set(self): ...\n    async def put(self): ...",
        "def come(): ...",
        "def found_rows(): ...\nclass EachRow: ...",
        'print("""What stands in a text""")',
    ],
)
def test_other_words_are_none(text: str, tmp_path: Path) -> None:
    assert faults(tmp_path, text) == []


def test_the_project_has_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["check_words.py"])
    assert CHECK["main"]() == 0
