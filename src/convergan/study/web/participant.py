"""The participant's pages: the door, consent, the study itself, the end."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Cookie, Form, Request
from fastapi.responses import RedirectResponse, Response

from convergan.study.debrief import debrief
from convergan.study.entry import Entry, from_cookie, from_link, from_prolific, way_of
from convergan.study.joining import Closed, find_participant, join
from convergan.study.tasks import NoSession, authenticated, require_time_left
from convergan.study.web.guard import SESSION
from convergan.study.web.site import Site

_ENTRY = "entry"
"""The cookie with who is at the door."""

_COOKIE_SECONDS = 365 * 24 * 3600
"""Longer than a session lasts: its last page is there afterwards too."""

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

    @pages.get("/join")
    def miss_the_link() -> Response:
        return site.page("landing", status=404)

    @pages.get("/join/{link}")
    def follow_link(
        request: Request,
        link: str,
        entry: Annotated[str | None, Cookie()] = None,
        PROLIFIC_PID: str = "",
        STUDY_ID: str = "",
        SESSION_ID: str = "",
    ) -> Response:
        if way_of(keys, link) == "prolific":
            known = _sent_by_prolific(PROLIFIC_PID, STUDY_ID, SESSION_ID)
        else:
            known = from_link(keys, link, entry)
        if known is None:
            return site.page("landing", status=404)
        # At once to an address without identifiers.
        response = RedirectResponse("/consent", 303)
        _set_cookie(request, response, _ENTRY, known.to_cookie(keys))
        return response

    def _sent_by_prolific(pid: str, study: str, session: str) -> Entry | None:
        given = [pid, *(each for each in (study, session) if each)]
        if not all(_IDENTIFIER.fullmatch(each) for each in given):
            return None
        return from_prolific(keys, pid, study, session)

    @pages.get("/consent")
    def consent(entry: Annotated[str | None, Cookie()] = None) -> Response:
        known = from_cookie(keys, entry)
        if known is None:
            return RedirectResponse("/", 303)
        with database.reading() as transaction:
            participant = find_participant(transaction, known)
            if participant is not None:
                require_time_left(participant, time.time())
        returning = participant is not None
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
        _set_cookie(request, response, SESSION, token)
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


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
