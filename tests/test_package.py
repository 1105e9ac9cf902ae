"""The package, once installed, has the files of the checkout."""

import ast
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "convergan"


def test_files_that_are_no_code_are_installed_too() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["convergan"]
    files = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert len(files) > 20
    missing = [file for file in files if not any(fnmatch(file, pattern) for pattern in patterns)]
    assert missing == []


def test_the_package_takes_nothing_from_its_own_public_names() -> None:
    """Public names load modules as they are used, which the contracts on imports cannot see."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "convergan":
                names = {name.name for name in node.names}
                modules = {path.stem for path in PACKAGE.iterdir()}
                assert names <= {"__version__", *modules}, f"{file}:{node.lineno}"
