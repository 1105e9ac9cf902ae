"""Check the words of docstrings and names in all .py files of the project, and of its pages of public names.

A docstring, also the string after an attribute, begins with a noun phrase that names the thing or with a
verb: it can be read without the name above it, in `--help` or on a page of the documentation. The verb of a
function's docstring is an imperative: "Write the page", not "Writes the page". A name says
what its value or its class is, or what its function returns or does: it is no pronoun, preposition or bare
participle. The name of a function or a class may be a participle that is an infinitive too, such as `read`.

The paragraph below the heading of a page of docs/api begins as a docstring does.

    python tools/check_words.py                     one line for each fault, exit code 1 if there is one
    python tools/check_words.py --count src tests   how many faults each folder below has
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "docs", "examples", "src", "tests", "tools")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRONOUNS = _words(
    """
    another any anybody anything both each either everybody everything few fewer he her hers him his
    it its least less many mine more most much neither nobody nothing one ones other others our ours
    rest same she some somebody something such that their theirs them these they this those us we
    what whatever which whichever who whoever whole whom whose you your yours
    """
)
PREPOSITIONS = _words(
    """
    about above across after again against alike along already also although among apart around
    aside at away because before behind below beneath beside besides between beyond by despite down
    during else even ever from further hence here how if in inside instead into like near never nor
    of off often on once only onto or otherwise outside over per rather since so soon still than
    then thence there thereby therefore though through thus till to together too toward towards
    under unless until up upon when whence whenever where whereas wherever whether while why with
    within without yet
    """
)
"""Prepositions, conjunctions and adverbs."""

PARTICIPLES = _words(
    """
    asked brought came chosen come drawn found given gone got had held kept known listed made meant
    named needed put read said seen sent set shown spent taken thought told tried used wanted went
    written wrote
    """
)

INFINITIVES = _words("come put read set")
"""Participles that are infinitives too, with which the name of a function says what it does."""

EXCEPTION = "# words:"
"""Comment on the line of a name that must stay, followed by the reason, such as that it is a key in files."""

VALUE = "what the value is"
FUNCTION = "what the function returns or does"
CLASS = "what the class is"

OPENINGS = (
    (PRONOUNS - _words("another any each few fewer least less many more most one some"))
    | (PREPOSITIONS - _words("further only"))
    | (PARTICIPLES - _words("put read set"))
    | _words(
        "am are as called can could do does for has have is may might must shall should was were"
    )
    | _words("i none not nowhere my will would")
)
"""First words with which a docstring needs the name above it to be understood."""


IMPERATIVES = _words(
    """
    acquire adapt add adjust advance append ask call check compare compute draw fill find follow
    forget gather give join keep kill let load make merge move open perform plot prepare print put read
    refuse register remove replace return run save send serve show start stop submit take train wait warn
    wrap write yield
    """
)
"""Verbs with which a function's docstring begins; without those that are nouns too, as in "Views of"."""


class Fault(NamedTuple):
    path: Path
    line: int
    kind: str
    """"docstring", "paragraph" or "name"."""
    message: str


def faults(path: Path) -> Iterator[Fault]:
    """The faults of one file, in the order of its lines."""
    if path.suffix == ".md":
        yield from _paragraph_faults(path)
        return
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    yield from sorted(
        [*_docstring_faults(path, tree), *_name_faults(path, tree)], key=lambda fault: fault.line
    )


def _docstring_faults(path: Path, tree: ast.AST) -> Iterator[Fault]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        text = node.value.value
        if not isinstance(text, str):
            continue
        if not text.split():
            yield Fault(path, node.lineno, "docstring", "the docstring is empty")
        elif problem := _problem_of_opening(text):
            yield Fault(path, node.lineno, "docstring", f"the docstring {problem}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            words = (ast.get_docstring(node) or "").split()
            verb = words[0].strip(",;:.") if words else ""
            if verb.endswith("s") and verb.removesuffix("s").lower() in IMPERATIVES:
                message = f"the docstring of a function must be in the imperative, got {verb!r}"
                yield Fault(path, node.body[0].lineno, "docstring", message)


def _paragraph_faults(path: Path) -> Iterator[Fault]:
    """The faults of the first paragraphs below the headings of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    is_below_heading = False
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line)
        if is_below_heading and (problem := _problem_of_opening(text)):
            yield Fault(path, number, "paragraph", f"the paragraph {problem}")
        is_below_heading = line.startswith("#") or (is_below_heading and not line.strip())


def _problem_of_opening(text: str) -> str | None:
    """The complaint about a text that needs the name above it to be understood; None about another."""
    words = text.split()
    first = words[0].strip("`.,:;'\"()").lower() if words else ""
    if first in OPENINGS or (first == "one" and words[1] in ("of", "that", "which", "who")):
        return f"must begin with a noun phrase or a verb, got {' '.join(words[:5])!r}"
    return None


def _name_faults(path: Path, tree: ast.AST) -> Iterator[Fault]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for name, line, meaning in _bindings(tree):
        bare = name.rstrip("0123456789").strip("_").lower()
        if EXCEPTION in lines[line - 1] or (meaning != VALUE and bare in INFINITIVES):
            continue
        if bare in PRONOUNS | PREPOSITIONS | PARTICIPLES or bare.startswith(("of_", "whose_")):
            yield Fault(path, line, "name", f"the name must say {meaning}, got {name!r}")


def _bindings(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Names of functions, classes and values (variables, arguments, attributes and imports) in a file.

    Each comes with its line and with what it must say.
    """
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno, FUNCTION
            case ast.ClassDef(name=name):
                yield name, node.lineno, CLASS
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno, VALUE
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno, VALUE
            case ast.alias(asname=str(name)):
                yield name, node.lineno, VALUE
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno, VALUE
            case ast.MatchStar(name=str(name)):
                yield name, node.lineno, VALUE


def _files(folder: Path) -> list[Path]:
    if not folder.exists():
        sys.exit(f"error: {folder} must be a folder or a file of this project")
    if folder.is_file():
        return [folder]
    code = (path for path in folder.rglob("*.py*") if path.suffix in (".py", ".pyi"))
    return [*sorted(code), *sorted(folder.glob("api/*.md"))]


def _count(folders: list[Path]) -> None:
    """Print the numbers of faults of each folder or file directly below the folders."""
    total: Counter[str] = Counter()
    for room in (room for folder in folders for room in sorted(folder.iterdir())):
        if not (room.suffix == ".py" or (room.is_dir() and any(room.rglob("*.py")))):
            continue
        counts = Counter(fault.kind for path in _files(room) for fault in faults(path))
        total += counts
        if counts:
            print(f"{counts['docstring']:5} docstrings {counts['name']:5} names  {room}")
    print(f"{total['docstring']:5} docstrings {total['name']:5} names  in all")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "paths", nargs="*", type=Path, help="folders and files; default: all of the project"
    )
    parser.add_argument(
        "--count", action="store_true", help="counts of the folders below, for what is left"
    )
    options = parser.parse_args()
    if options.count:
        _count(options.paths or [ROOT / "src" / "convergan"])
        return 0
    paths = options.paths or [ROOT / name for name in FOLDERS]
    failed = False
    for path in (file for folder in paths for file in _files(folder)):
        for fault in faults(path):
            failed = True
            print(f"{fault.path}:{fault.line}: {fault.message}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
