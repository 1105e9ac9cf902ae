"""A parser of HTML pages."""

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Tags, ids, headings and visible text of a page, all of whose tags must be closed in order."""

    VOID = frozenset({"br", "img", "link", "meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.tags: set[str] = set()
        self.images_without_words = 0
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += " "
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.images_without_words += tag == "img" and not dict(attrs).get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data.strip())


def words(html: str) -> str:
    return " ".join(Outline(html).text.split())
