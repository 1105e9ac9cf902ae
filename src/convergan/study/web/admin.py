"""The researcher's page, behind a token and protected against requests from other sites.

Every change is made by a form that holds a token of its own.
"""

import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from convergan.errors import UserError
from convergan.study.analysis.screens import screens_of
from convergan.study.collect.forgetting import delete_participant
from convergan.study.collect.progress import progress_of
from convergan.study.storage.audit import events, note
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys, secrets_match
from convergan.study.storage.schema import Study
from convergan.study.web.cookies import ADMIN
from convergan.study.web.site import Site, SiteDep

_PATH = "/admin"
_SECONDS = 12 * 3600
_LARGEST_QUOTA = 100_000

router = APIRouter(prefix=_PATH)


def _signed_in(request: Request, site: SiteDep) -> str:
    """Return a researcher's cookie; without one, redirect to the login page."""
    admin = site.cookies.read(request.headers, ADMIN)
    if not _is_valid(site.keys, admin, _sign_outs(site.database)):
        raise HTTPException(303, headers={"Location": f"{site.root}{_PATH}/login"})
    return admin


_AdminCookie = Annotated[str, Depends(_signed_in)]


def _from_own_page(
    site: SiteDep, admin: _AdminCookie, form_token: Annotated[str, Form()] = ""
) -> None:
    """Refuse a form that comes from another session's page, or from another site."""
    if not secrets_match(form_token, _form_token(site.keys, admin)):
        raise HTTPException(403, "This form is not from this session's admin page.")


_OWN_FORM = [Depends(_from_own_page)]


@router.get("")
def overview(site: SiteDep, admin: _AdminCookie) -> Response:
    """Show the progress of the study, with forms to control it."""
    with site.database.reading() as session:
        progress = progress_of(session, time.time())
        record = events(session)
    token = _form_token(site.keys, admin)
    return site.page(
        "admin", progress=progress, record=record, careless_rules=screens_of(site.plan).rules,
        form_token=token, clock=_clock,
    )  # fmt: skip


@router.get("/login")
def ask_for_token(site: SiteDep) -> Response:
    """Show the login page."""
    return site.page("login", wrong=False)


@router.post("/login")
def sign_in(request: Request, site: SiteDep, token: Annotated[str, Form()] = "") -> Response:
    """Sign in a researcher who knows the study's token."""
    if not secrets_match(token.strip(), site.keys.admin_token):
        return site.page("login", wrong=True, status=403)
    text = f"{_sign_outs(site.database)}-{secrets.token_hex(8)}"
    response = _to_overview(site)
    signed = site.keys.signed_with_time("admin", text)
    site.cookies.keep(request, response, ADMIN, signed, seconds=_SECONDS, path=_PATH, strict=True)
    return response


@router.post("/logout", dependencies=_OWN_FORM)
def sign_out(request: Request, site: SiteDep) -> Response:
    """Sign out every researcher: a copied cookie must not stay valid."""
    with site.database.writing() as session:
        session.get_one(Study, 1, with_for_update=True).sign_outs += 1
    response = RedirectResponse(f"{site.root}{_PATH}/login", 303)
    site.cookies.drop(request, response, ADMIN, path=_PATH)
    return response


@router.post("/paused", dependencies=_OWN_FORM)
def pause(site: SiteDep, paused: Annotated[bool, Form()]) -> Response:
    """Pause the study, or reopen it."""
    with site.database.writing() as session:
        study = session.get_one(Study, 1, with_for_update=True)
        if study.paused != paused:
            study.paused = paused
            note(session, "paused" if paused else "opened")
    return _to_overview(site)


@router.post("/quota", dependencies=_OWN_FORM)
def change_quota(site: SiteDep, quota: Annotated[int, Form(ge=1, le=_LARGEST_QUOTA)]) -> Response:
    """Change the number of participants wanted in each arm."""
    with site.database.writing() as session:
        study = session.get_one(Study, 1, with_for_update=True)
        if study.quota != quota:
            note(session, "quota", f"{study.quota} to {quota} participants in each arm")
            study.quota = quota
    return _to_overview(site)


@router.get("/delete/{code}")
def ask_before_deleting(site: SiteDep, code: str, admin: _AdminCookie) -> Response:
    """Ask for confirmation before a participant is deleted."""
    return site.page("delete", code=code, form_token=_form_token(site.keys, admin))


@router.post("/delete", dependencies=_OWN_FORM)
def remove(site: SiteDep, code: Annotated[str, Form()]) -> Response:
    """Delete a participant with all votes."""
    try:
        deleted = delete_participant(site.database, code)
    except UserError as error:
        raise HTTPException(503, str(error)) from None
    if not deleted:
        raise HTTPException(404, "There is no participant with this code.")
    return _to_overview(site)


def _to_overview(site: Site) -> Response:
    return RedirectResponse(f"{site.root}{_PATH}", 303)


def _sign_outs(database: Database) -> int:
    with database.reading() as session:
        return session.get_one(Study, 1).sign_outs


def _is_valid(keys: Keys, cookie: str, sign_outs: int) -> bool:
    text = keys.verified_within("admin", cookie, _SECONDS)
    return text is not None and text.startswith(f"{sign_outs}-")


def _form_token(keys: Keys, cookie: str) -> str:
    return keys.hashed("form", cookie)


def _clock(seconds: float) -> str:
    """Format a time, in seconds since 1970, for people (UTC)."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
