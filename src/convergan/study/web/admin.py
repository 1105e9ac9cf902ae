"""The researcher's page: behind a token, and safe from other sites' requests."""

import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from convergan.errors import UserError
from convergan.study.forgetting import delete_participant
from convergan.study.keys import Keys, same
from convergan.study.progress import progress_of
from convergan.study.schema import Study
from convergan.study.web.site import Site

_COOKIE = "admin"
_PATH = "/admin"
_SECONDS = 12 * 3600
_LARGEST_QUOTA = 100_000


def admin_pages(site: Site) -> APIRouter:
    """The routes of the admin page. Everything that changes something is a form with a token of its own."""
    pages = APIRouter(prefix=_PATH)
    database, keys = site.database, site.keys

    def sign_outs() -> int:
        with database.reading() as session:
            return session.get_one(Study, 1).sign_outs

    def signed_in(admin: Annotated[str, Cookie()] = "") -> str:
        if not _is_valid(keys, admin, sign_outs()):
            raise HTTPException(303, headers={"Location": f"{_PATH}/login"})
        return admin

    def own_form(
        admin: Annotated[str, Depends(signed_in)], form_token: Annotated[str, Form()] = ""
    ) -> None:
        if not same(form_token, _form_token(keys, admin)):
            raise HTTPException(403, "This form is not from this session's admin page.")

    @pages.get("")
    def overview(admin: Annotated[str, Depends(signed_in)]) -> Response:
        with database.reading() as session:
            progress = progress_of(session, time.time())
        token = _form_token(keys, admin)
        return site.page("admin", progress=progress, form_token=token, clock=_clock)

    @pages.get("/login")
    def ask_for_token() -> Response:
        return site.page("login", wrong=False)

    @pages.post("/login")
    def sign_in(request: Request, token: Annotated[str, Form()] = "") -> Response:
        if not same(token.strip(), keys.admin_token):
            return site.page("login", wrong=True, status=403)
        response = RedirectResponse(_PATH, 303)
        response.set_cookie(
            _COOKIE,
            keys.signed_with_time("admin", f"{sign_outs()}-{secrets.token_hex(8)}"),
            max_age=_SECONDS,
            path=_PATH,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @pages.post("/logout", dependencies=[Depends(own_form)])
    def sign_out() -> Response:
        # The cookie alone could have been copied: on the server all that are signed in are out.
        with database.writing() as session:
            session.get_one(Study, 1, with_for_update=True).sign_outs += 1
        response = RedirectResponse(f"{_PATH}/login", 303)
        response.delete_cookie(_COOKIE, path=_PATH)
        return response

    @pages.post("/paused", dependencies=[Depends(own_form)])
    def pause(paused: Annotated[bool, Form()]) -> Response:
        with database.writing() as session:
            session.get_one(Study, 1, with_for_update=True).paused = paused
        return RedirectResponse(_PATH, 303)

    @pages.post("/quota", dependencies=[Depends(own_form)])
    def change_quota(quota: Annotated[int, Form(ge=1, le=_LARGEST_QUOTA)]) -> Response:
        with database.writing() as session:
            session.get_one(Study, 1, with_for_update=True).quota = quota
        return RedirectResponse(_PATH, 303)

    @pages.get("/delete/{code}")
    def ask_before_deleting(code: str, admin: Annotated[str, Depends(signed_in)]) -> Response:
        return site.page("delete", code=code, form_token=_form_token(keys, admin))

    @pages.post("/delete", dependencies=[Depends(own_form)])
    def remove(code: Annotated[str, Form()]) -> Response:
        try:
            found = delete_participant(database, code)
        except UserError as error:
            raise HTTPException(503, str(error)) from None
        if not found:
            raise HTTPException(404, "There is no participant with this code.")
        return RedirectResponse(_PATH, 303)

    return pages


def _is_valid(keys: Keys, cookie: str, sign_outs: int) -> bool:
    text = keys.verified_within("admin", cookie, _SECONDS)
    return text is not None and text.startswith(f"{sign_outs}-")


def _form_token(keys: Keys, cookie: str) -> str:
    return keys.hashed("form", cookie)


def _clock(seconds: float) -> str:
    """A time as people write it, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
