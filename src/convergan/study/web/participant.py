"""The participant's pages: the door, consent, the study itself, the end."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Cookie, Form, Request
from fastapi.responses import RedirectResponse, Response

from convergan.study.debrief import debrief
from convergan.study.entry import Entry, from_cookie, from_link, from_prolific
from convergan.study.joining import Closed, find_participant, join
from convergan.study.tasks import NoSession, authenticated
from convergan.study.web.guard import SESSION
from convergan.study.web.site import Site

_ENTRY = "entry"
"""The cookie with who is at the door."""

_ENTRY_SECONDS = 365 * 24 * 3600
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def participant_pages(site: Site) -> APIRouter:
    """The routes of the pages that participants see."""
    pages = APIRouter(include_in_schema=False)
    database, keys = site.database, site.keys

    @pages.get("/")
    def landing(session: Annotated[str, Cookie()] = "") -> Response:
        if _has_session(session):
            return RedirectResponse("/study", 303)
        return site.page("landing")

    @pages.get("/join/{link}")
    def follow_link(
        request: Request, link: str, entry: Annotated[str | None, Cookie()] = None
    ) -> Response:
        return _to_consent(request, from_link(keys, link, entry))

    @pages.get("/join")
    def come_from_prolific(
        request: Request, PROLIFIC_PID: str = "", STUDY_ID: str = "", SESSION_ID: str = ""
    ) -> Response:
        given = [each for each in (STUDY_ID, SESSION_ID) if each]
        if not all(_IDENTIFIER.fullmatch(each) for each in (PROLIFIC_PID, *given)):
            return _to_consent(request, None)
        return _to_consent(request, from_prolific(keys, PROLIFIC_PID, STUDY_ID, SESSION_ID))

    def _to_consent(request: Request, entry: Entry | None) -> Response:
        if entry is None:
            return site.page("landing", status=404)
        # At once to an address without identifiers.
        response = RedirectResponse("/consent", 303)
        _set_cookie(request, response, _ENTRY, entry.to_cookie(keys), _ENTRY_SECONDS)
        return response

    @pages.get("/consent")
    def consent(entry: Annotated[str | None, Cookie()] = None) -> Response:
        known = from_cookie(keys, entry)
        if known is None:
            return RedirectResponse("/", 303)
        with database.reading() as transaction:
            returning = find_participant(transaction, known) is not None
        return site.page("consent", returning=returning, simulated=known.way == "preview")

    @pages.post("/consent")
    def start(
        request: Request,
        agree: Annotated[str, Form()] = "",
        entry: Annotated[str | None, Cookie()] = None,
    ) -> Response:
        known = from_cookie(keys, entry)
        if known is None:
            return RedirectResponse("/", 303)
        if agree != "yes":
            return site.page("goodbye", outcome="declined", way=known.way)
        try:
            with database.writing() as transaction:
                token = join(transaction, known, time.time())
        except Closed as closed:
            outcome = "full" if closed.full else "paused"
            return site.page("goodbye", outcome=outcome, way=known.way)
        response = RedirectResponse("/study", 303)
        _set_cookie(request, response, SESSION, token, site.plan.hours * 3600)
        return response

    @pages.get("/study")
    def study(session: Annotated[str, Cookie()] = "") -> Response:
        try:
            with database.reading() as transaction:
                participant = authenticated(transaction, session, time.time())
        except NoSession:
            return RedirectResponse("/consent", 303)
        if participant.finished_at is not None:
            return RedirectResponse("/done", 303)
        return site.page("study", participant=participant, simulated=participant.simulated)

    @pages.get("/done")
    def done(session: Annotated[str, Cookie()] = "") -> Response:
        try:
            with database.reading() as transaction:
                participant = authenticated(transaction, session, time.time())
                told = debrief(transaction, participant)
        except NoSession:
            return RedirectResponse("/consent", 303)
        if told is None:
            return RedirectResponse("/study", 303)
        return site.page(
            "done", participant=participant, simulated=participant.simulated, told=told
        )

    def _has_session(token: str) -> bool:
        try:
            with database.reading() as transaction:
                authenticated(transaction, token, time.time())
        except NoSession:
            return False
        return True

    return pages


def _set_cookie(request: Request, response: Response, name: str, value: str, age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
