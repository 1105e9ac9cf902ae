"""A file has one reason to exist, and a function fits on a screen or two: what grows past that is divided."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "convergan"

FILE_LINES = 400
FUNCTION_LINES = 80
"""Most lines of a function, from `def` to the last one, docstring included."""
LONGER_FUNCTIONS = {"training/loop.py:course": 130}


def too_long(name: str, source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > FILE_LINES:
        yield f"{name}: expected at most {FILE_LINES} lines, got {lines}; divide it by its reasons"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = LONGER_FUNCTIONS.get(f"{name}:{node.name}", FUNCTION_LINES)
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > limit:
                yield f"{name}: expected at most {limit} lines of {node.name}, got {lines}; divide it"


def test_no_file_and_no_function_is_too_long() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 200
    problems = [
        problem
        for path in files
        for problem in too_long(
            path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        )
    ]
    assert not problems, "\n".join(problems)


def test_what_is_too_long_is_named() -> None:
    def function(lines: int, name: str = "work") -> str:
        return f"def {name}():\n" + "    pass\n" * (lines - 1)

    assert list(too_long("a.py", function(80) + "x = 1\n" * 320)) == []
    assert list(too_long("a.py", "x = 1\n" * 401)) == [
        "a.py: expected at most 400 lines, got 401; divide it by its reasons"
    ]
    in_class = "class Worker:\n" + "".join(f"    {line}\n" for line in function(81).splitlines())
    for source in (function(81), f"async {function(81)}", in_class):
        assert list(too_long("a.py", source)) == [
            "a.py: expected at most 80 lines of work, got 81; divide it"
        ]
    assert list(too_long("training/loop.py", function(130, "course"))) == []
    assert len(list(too_long("training/loop.py", function(131, "course")))) == 1
    assert len(list(too_long("training/step.py", function(81, "course")))) == 1
