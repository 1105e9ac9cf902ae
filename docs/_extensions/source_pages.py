"""Links to files of the repository, which GitHub follows: on the site each file has a page, too."""

from collections.abc import Iterator
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
LANGUAGES = {".py": "python", ".json": "json", ".yaml": "yaml", ".md": "markdown"}
LONGEST = 60_000
"""Bytes of a file that is shown; a longer one, or one of another kind, is there to be downloaded."""


def page_of(path: Path) -> str:
    """The name of the page of a file or folder."""
    return f"source/{path.relative_to(ROOT).as_posix()}"


def visible_entries(folder: Path) -> list[Path]:
    """The files and folders in a folder, hidden and made ones aside."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith((".", "__pycache__"))
    )


class SourceLinks(SphinxTransform):
    """Leads links to files outside of the documentation to their pages."""

    default_priority = 5

    def apply(self, **options: Any) -> None:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for kind in (addnodes.download_reference, addnodes.pending_xref):
            for node in list(self.document.findall(kind)):
                path = (folder / node["reftarget"]).resolve()
                is_outside = path.is_relative_to(ROOT) and not path.is_relative_to(self.env.srcdir)
                if node.get("reftype") != "myst" or not is_outside or not path.exists():
                    continue
                if path.is_file() and not _is_shown(path):
                    continue
                _linked(self.env).add(path)
                target = self.app.builder.get_relative_uri(self.env.docname, page_of(path))
                node.replace_self(nodes.reference("", "", *node.children, refuri=target))


def _linked(env: Any) -> set[Path]:
    if not hasattr(env, "linked_files"):
        env.linked_files = set()
    paths: set[Path] = env.linked_files
    return paths


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    waiting, visited = sorted(_linked(app.env)), set[Path]()
    while waiting:
        path = waiting.pop()
        if path in visited:
            continue
        visited.add(path)
        name = path.relative_to(ROOT).as_posix()
        if path.is_dir():
            entries = [
                entry for entry in visible_entries(path) if entry.is_dir() or _is_shown(entry)
            ]
            waiting += entries
            body = _list(app, path, entries)
        else:
            text, language = path.read_text(encoding="utf-8"), LANGUAGES[path.suffix]
            body = app.builder.highlighter.highlight_block(text, language)  # type: ignore[attr-defined]
        heading = f"<h1><code>{escape(name)}</code></h1>"
        yield (
            page_of(path),
            {"title": PurePosixPath(name).name, "body": heading + body},
            "page.html",
        )


def _is_shown(path: Path) -> bool:
    return path.suffix in LANGUAGES and path.stat().st_size <= LONGEST


def _list(app: Sphinx, folder: Path, entries: list[Path]) -> str:
    links = (
        (app.builder.get_relative_uri(page_of(folder), page_of(path)), path) for path in entries
    )
    items = (
        f'<li><a href="{escape(uri)}"><code>{escape(path.name)}{"/" * path.is_dir()}</code></a></li>'
        for uri, path in links
    )
    return f"<ul>{''.join(items)}</ul>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(SourceLinks)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": False}
