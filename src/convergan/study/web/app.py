"""The application, put together."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, IntegrityError

from convergan.study.database import Database
from convergan.study.keys import Keys, read_key_file
from convergan.study.tasks import Expired, NoSession
from convergan.study.voting import Conflict
from convergan.study.web import admin, participant, trials
from convergan.study.web.guard import Guard
from convergan.study.web.site import Site, SiteDep, open_site

STUDY, KEY_FILE = "CONVERGAN_STUDY", "CONVERGAN_STUDY_KEY"
"""Environment variables that tell a server's processes what they serve."""

# Of each process. Each request waits for the database several times, and for Python's interpreter lock after
# each: with many threads at once, all of them wait long. Writers that wait for their turn hold theirs.
_THREADS = 4

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_static = APIRouter()


def app_from_environment() -> FastAPI:
    """The application of the study that the environment names."""
    return make_app(Database(os.environ[STUDY]), read_key_file(Path(os.environ[KEY_FILE])))


def make_app(database: Database, keys: Keys) -> FastAPI:
    """The application of one study.

    Args:
        database: of a study whose tables are up to date.
        keys: the study's secrets.
    """

    @asynccontextmanager
    async def until_shutdown(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = _THREADS
        yield
        database.close()

    # Without the pages about its own interface, which load scripts from elsewhere.
    app = FastAPI(openapi_url=None, lifespan=until_shutdown)
    app.state.site = open_site(database, keys)
    app.add_middleware(Guard)
    for router in (participant.router, trials.router, admin.router, _static):
        app.include_router(router)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


@_static.get("/static/{version}/{name}")
async def asset(site: SiteDep, version: str, name: str) -> Response:
    """A style, script or icon, which browsers may keep."""
    if version != site.version or name not in site.assets:
        return Response(status_code=404)
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(site.assets[name], media_type=_TYPES[name.rpartition(".")[2]], headers=kept)


def _no_session(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "no session"}, 401)


def _session_is_over(request: Request, expired: Exception) -> Response:
    # For scripts, which look at the status, as well as for people.
    assert isinstance(expired, Expired)
    site: Site = request.app.state.site
    return site.page("expired", status=401, code=expired.code, way=expired.way)


def _invalid(_: Request, __: Exception) -> Response:
    # Nothing of what was sent comes back: NaN, which some send, is no JSON.
    return JSONResponse({"error": "invalid"}, 422)


def _conflict(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "conflict"}, 409)


_HANDLERS = {
    NoSession: _no_session,
    Expired: _session_is_over,
    RequestValidationError: _invalid,
    # The text of what a database refuses may hold what identifies people: caught here, it is logged nowhere.
    DataError: _conflict,
    IntegrityError: _conflict,
    Conflict: _conflict,
}
