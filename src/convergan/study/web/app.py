"""The web application of a study, put together from its parts."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from convergan.errors import one_line
from convergan.study.collect.places import Closed
from convergan.study.collect.tasks import Expired, NoSession
from convergan.study.collect.voting import Conflict
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys, read_key_file
from convergan.study.storage.schema import Study
from convergan.study.web import admin, participant, trials
from convergan.study.web.guard import Guard
from convergan.study.web.limits import Limit
from convergan.study.web.parent import end_with_parent
from convergan.study.web.site import Site, SiteDep, open_site

STUDY, KEY_FILE, ROOT = "CONVERGAN_STUDY", "CONVERGAN_STUDY_KEY", "CONVERGAN_STUDY_ROOT"
WORKERS = "CONVERGAN_STUDY_WORKERS"
"""Environment variables that tell a server's processes what to serve."""

# In each process. A request waits for the database several times, and each time for Python's interpreter lock
# as well: many threads at once would all wait long. Writers hold their thread while they wait for their turn.
_THREADS = 4

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_LOST = Limit(1, 0.1)
_log = logging.getLogger("uvicorn.error")

_static = APIRouter()


def app_from_environment() -> FastAPI:
    """Make the application of the study that the environment names."""
    end_with_parent()
    keys = read_key_file(Path(os.environ[KEY_FILE]))
    database = Database(os.environ[STUDY], existing=True)
    return make_app(database, keys, os.environ[ROOT], int(os.environ[WORKERS]))


def make_app(database: Database, keys: Keys, root: str = "", workers: int = 1) -> FastAPI:
    """Make the application of one study.

    Args:
        database: the study's database, with tables that are up to date.
        keys: the study's secrets.
        root: the path that the study is served under, such as "/turing"; "" for a whole host.
        workers: the number of processes that serve the study, each with an application.
    """

    @asynccontextmanager
    async def until_shutdown(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = _THREADS
        yield
        database.close()

    # Without the pages that describe the interface, which load scripts from other sites.
    app = FastAPI(openapi_url=None, lifespan=until_shutdown)
    app.state.site = site = open_site(database, keys, root, workers)
    app.add_middleware(Guard, site=site)
    for router in (participant.router, trials.router, admin.router, _static):
        app.include_router(router)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


@_static.get("/health")
def health(site: SiteDep) -> JSONResponse:
    """Report whether the study is available: 200 while its database answers, otherwise 503."""
    with site.database.reading() as session:
        session.get_one(Study, 1)
    return JSONResponse({"status": "ok"})


@_static.get("/static/{version}/{name}")
async def asset(site: SiteDep, version: str, name: str) -> Response:
    """Send a stylesheet, script or icon, which browsers may cache."""
    if version != site.version or name not in site.assets:
        return Response(status_code=404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(site.assets[name], media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def _no_database(request: Request, error: Exception) -> Response:
    # One line for all requests within some seconds, without what was sent to the database.
    if _LOST.allows(""):
        cause = error.orig if isinstance(error, DBAPIError) else error
        _log.error("the database does not answer: %s", one_line(cause))
    site: Site = request.app.state.site
    refresh = request.method == "GET" and not request.url.path.startswith("/api")
    page = site.page("unavailable", status=503, lost=True, refresh=refresh)
    page.headers["Retry-After"] = "10"
    return page


def _closed(request: Request, closed: Exception) -> Response:
    assert isinstance(closed, Closed)
    site: Site = request.app.state.site
    outcome = "full" if closed.full else "paused"
    # The page's script looks at the status of its requests.
    status = 410 if request.url.path.startswith("/api/") else 200
    return site.page("goodbye", status=status, outcome=outcome, way=closed.way)


def _no_session(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "no session"}, 401)


def _session_is_over(request: Request, expired: Exception) -> Response:
    # For the script, which looks at the status, as well as for people.
    assert isinstance(expired, Expired)
    site: Site = request.app.state.site
    return site.page("expired", status=401, code=expired.code, way=expired.way)


def _invalid(_: Request, __: Exception) -> Response:
    # Without anything that was sent, such as NaN, which is not JSON.
    return JSONResponse({"error": "invalid"}, 422)


def _conflict(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "conflict"}, 409)


_HANDLERS = {
    NoSession: _no_session,
    Expired: _session_is_over,
    RequestValidationError: _invalid,
    # A database's error message may contain data that identify people: caught here, it is never logged.
    DataError: _conflict,
    IntegrityError: _conflict,
    Conflict: _conflict,
    Closed: _closed,
    DBAPIError: _no_database,
    NoConnection: _no_database,
}
