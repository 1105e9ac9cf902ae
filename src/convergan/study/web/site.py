"""What every page of one study's web application needs."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from convergan.page.environment import templates
from convergan.study.design.plan import Plan
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Study
from convergan.study.web.cookies import ENTRY, SESSION, Cookies, cookies_of
from convergan.study.web.limits import Limit

# Sessions by links that many have: at once, and a second after that, from one address. A class fits.
_SESSIONS_LIMIT = (60, 0.2)

_TEMPLATES = templates("convergan.study.web")


@dataclass(frozen=True)
class Site:
    """A study, as one server process holds it: all but the database never changes."""

    database: Database
    keys: Keys
    plan: Plan
    codes: dict[str, str]
    """Completion codes by outcome."""
    size_px: int
    content_length: int
    """Of every image, in bytes."""
    root: str
    """The path that the study is served under, such as "/turing"; "" for all of a host."""
    cookies: Cookies
    new_sessions: Limit
    """By address."""

    def page(self, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from its template."""
        template = _TEMPLATES.get_template(f"templates/{name}.html.j2")
        return HTMLResponse(template.render(site=self, plan=self.plan, **values), status)

    def asset(self, name: str) -> str:
        """The address of a file of `assets`, which changes whenever any of them does."""
        return f"{self.root}/static/{self.version}/{name}"

    @cached_property
    def assets(self) -> dict[str, str]:
        """Style, scripts and icon, by name."""
        static = files("convergan.study.web").joinpath("static")
        found = {file.name: file.read_text(encoding="utf-8") for file in static.iterdir()}
        return found | {"study.css": _TEMPLATES.get_template("templates/study.css.j2").render()}

    @cached_property
    def version(self) -> str:
        """A hash of the assets, which browsers keep."""
        return sha256("".join(map(str, sorted(self.assets.items()))).encode()).hexdigest()[:12]


def open_site(database: Database, keys: Keys, root: str = "") -> Site:
    """Reads what never changes from the database."""
    with database.reading() as session:
        study = session.get_one(Study, 1)
    return Site(
        database=database,
        keys=keys,
        plan=Plan(**study.plan),
        codes=study.codes,
        size_px=study.size_px,
        content_length=study.content_length,
        root=root,
        cookies=cookies_of(keys, root),
        new_sessions=Limit(*_SESSIONS_LIMIT),
    )


# Not plain functions: FastAPI would wait for one of the few threads to call them in.
async def _site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


SiteDep = Annotated[Site, Depends(_site_of)]
"""The site of the application that a request came to, as the parameter of a route."""


async def _token_of(request: Request, site: SiteDep) -> str:
    return site.cookies.read(request.headers, SESSION)


async def _entry_of(request: Request, site: SiteDep) -> str:
    return site.cookies.read(request.headers, ENTRY)


SessionToken = Annotated[str, Depends(_token_of)]
"""The token that a participant's browser brought; "" for none."""

EntryCookie = Annotated[str, Depends(_entry_of)]
"""Who is at the door, as a link has had the browser keep it; "" for nobody."""
