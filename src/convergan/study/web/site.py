"""Shared parts of all pages of one study's web application."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from convergan.page.environment import templates
from convergan.study.collect.places import places_of
from convergan.study.design.plan import Plan
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Study
from convergan.study.web.cookies import ENTRY, SESSION, Cookies, cookies_of
from convergan.study.web.limits import Limit

# New sessions from one address, by links that many people have: at once, as a share of all places and within
# bounds, then per second. One visitor must not fill a study in a moment.
_SHARE_AT_ONCE, _FEWEST_AT_ONCE, _MOST_AT_ONCE, _FEWEST_IN_PROCESS = 0.25, 4, 60, 2
_SESSIONS_A_SECOND = 1 / 60

_TEMPLATES = templates("convergan.study.web")


@dataclass(frozen=True)
class Site:
    """A study in one server process; nothing but the database changes."""

    database: Database
    keys: Keys
    plan: Plan
    codes: dict[str, str]
    """Completion codes by outcome."""
    size_px: int
    content_length: int
    """Size of every image, in bytes."""
    root: str
    """Path that the study is served under, such as "/turing"; "" for a whole host."""
    cookies: Cookies
    new_sessions: Limit
    """Limit on the new sessions from one address."""

    def page(self, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a page from its template."""
        template = _TEMPLATES.get_template(f"templates/{name}.html.j2")
        return HTMLResponse(template.render(site=self, plan=self.plan, **values), status)

    def asset(self, name: str) -> str:
        """Return the address of one of the `assets`; it changes whenever any asset does."""
        return f"{self.root}/static/{self.version}/{name}"

    @cached_property
    def assets(self) -> dict[str, str]:
        """Stylesheet, scripts and icon, by name."""
        static = files("convergan.study.web").joinpath("static")
        content = {file.name: file.read_text(encoding="utf-8") for file in static.iterdir()}
        return content | {"study.css": _TEMPLATES.get_template("templates/study.css.j2").render()}

    @cached_property
    def version(self) -> str:
        """Hash of the assets, which browsers cache."""
        return sha256("".join(map(str, sorted(self.assets.items()))).encode()).hexdigest()[:12]


def open_site(database: Database, keys: Keys, root: str = "", workers: int = 1) -> Site:
    """Read from a study's database what never changes; `workers` is the number of processes that serve it."""
    with database.reading() as session:
        study = session.get_one(Study, 1)
        places = places_of(session)
    return Site(
        database=database,
        keys=keys,
        plan=Plan(**study.plan),
        codes=study.codes,
        size_px=study.size_px,
        content_length=study.content_length,
        root=root,
        cookies=cookies_of(keys, root),
        new_sessions=_sessions_limit(places, workers),
    )


def _sessions_limit(places: int, workers: int) -> Limit:
    """Divide the sessions at once from one address among the processes; each then lets in one a minute."""
    at_once = min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, int(_SHARE_AT_ONCE * places)))
    return Limit(max(_FEWEST_IN_PROCESS, at_once // workers), _SESSIONS_A_SECOND)


# Asynchronous: FastAPI would wait for one of the few threads to call plain functions.
async def _site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


SiteDep = Annotated[Site, Depends(_site_of)]
"""The site of the application that got a request, as the parameter of a route."""


async def _token_of(request: Request, site: SiteDep) -> str:
    return site.cookies.read(request.headers, SESSION)


async def _entry_of(request: Request, site: SiteDep) -> str:
    return site.cookies.read(request.headers, ENTRY)


SessionToken = Annotated[str, Depends(_token_of)]
"""The token that a participant's browser sent; "" for none."""

EntryCookie = Annotated[str, Depends(_entry_of)]
"""The cookie of a person who came by a link, as the browser sent it; "" for none."""
