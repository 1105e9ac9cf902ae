"""The researcher's page: behind a token, and safe from other sites' requests.

Everything that changes something is a form with a token of its own.
"""

import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from convergan.errors import UserError
from convergan.study.database import Database
from convergan.study.forgetting import delete_participant
from convergan.study.keys import Keys, same
from convergan.study.progress import progress_of
from convergan.study.schema import Study
from convergan.study.web.site import SiteDep

_COOKIE = "admin"
_PATH = "/admin"
_SECONDS = 12 * 3600
_LARGEST_QUOTA = 100_000

router = APIRouter(prefix=_PATH)


def _signed_in(site: SiteDep, admin: Annotated[str, Cookie()] = "") -> str:
    """The cookie of a researcher; whoever has none is sent to the login page."""
    if not _is_valid(site.keys, admin, _sign_outs(site.database)):
        raise HTTPException(303, headers={"Location": f"{_PATH}/login"})
    return admin


_AdminCookie = Annotated[str, Depends(_signed_in)]


def _from_own_page(
    site: SiteDep, admin: _AdminCookie, form_token: Annotated[str, Form()] = ""
) -> None:
    """Refuses a form that another session's page, or another site, has sent."""
    if not same(form_token, _form_token(site.keys, admin)):
        raise HTTPException(403, "This form is not from this session's admin page.")


_OWN_FORM = [Depends(_from_own_page)]


@router.get("")
def overview(site: SiteDep, admin: _AdminCookie) -> Response:
    """The progress of the study, with forms to steer it."""
    with site.database.reading() as session:
        progress = progress_of(session, time.time())
    token = _form_token(site.keys, admin)
    return site.page("admin", progress=progress, form_token=token, clock=_clock)


@router.get("/login")
def ask_for_token(site: SiteDep) -> Response:
    """The login page."""
    return site.page("login", wrong=False)


@router.post("/login")
def sign_in(request: Request, site: SiteDep, token: Annotated[str, Form()] = "") -> Response:
    """Sets the cookie of a researcher who knows the study's token."""
    if not same(token.strip(), site.keys.admin_token):
        return site.page("login", wrong=True, status=403)
    text = f"{_sign_outs(site.database)}-{secrets.token_hex(8)}"
    response = RedirectResponse(_PATH, 303)
    response.set_cookie(
        _COOKIE,
        site.keys.signed_with_time("admin", text),
        max_age=_SECONDS,
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", dependencies=_OWN_FORM)
def sign_out(site: SiteDep) -> Response:
    """Signs out every researcher: a cookie alone could have been copied."""
    with site.database.writing() as session:
        session.get_one(Study, 1, with_for_update=True).sign_outs += 1
    response = RedirectResponse(f"{_PATH}/login", 303)
    response.delete_cookie(_COOKIE, path=_PATH)
    return response


@router.post("/paused", dependencies=_OWN_FORM)
def pause(site: SiteDep, paused: Annotated[bool, Form()]) -> Response:
    """Pauses the study, or lets it go on."""
    with site.database.writing() as session:
        session.get_one(Study, 1, with_for_update=True).paused = paused
    return RedirectResponse(_PATH, 303)


@router.post("/quota", dependencies=_OWN_FORM)
def change_quota(site: SiteDep, quota: Annotated[int, Form(ge=1, le=_LARGEST_QUOTA)]) -> Response:
    """Changes how many participants the study takes."""
    with site.database.writing() as session:
        session.get_one(Study, 1, with_for_update=True).quota = quota
    return RedirectResponse(_PATH, 303)


@router.get("/delete/{code}")
def ask_before_deleting(site: SiteDep, code: str, admin: _AdminCookie) -> Response:
    """The page that asks whether a participant is really to be deleted."""
    return site.page("delete", code=code, form_token=_form_token(site.keys, admin))


@router.post("/delete", dependencies=_OWN_FORM)
def remove(site: SiteDep, code: Annotated[str, Form()]) -> Response:
    """Deletes a participant with all votes."""
    try:
        found = delete_participant(site.database, code)
    except UserError as error:
        raise HTTPException(503, str(error)) from None
    if not found:
        raise HTTPException(404, "There is no participant with this code.")
    return RedirectResponse(_PATH, 303)


def _sign_outs(database: Database) -> int:
    with database.reading() as session:
        return session.get_one(Study, 1).sign_outs


def _is_valid(keys: Keys, cookie: str, sign_outs: int) -> bool:
    text = keys.verified_within("admin", cookie, _SECONDS)
    return text is not None and text.startswith(f"{sign_outs}-")


def _form_token(keys: Keys, cookie: str) -> str:
    return keys.hashed("form", cookie)


def _clock(seconds: float) -> str:
    """A time as people write it, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
