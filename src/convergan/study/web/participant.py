"""The participant's pages: the door, consent, the study itself, the end."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from convergan.study.database import Database
from convergan.study.debrief import debrief
from convergan.study.entry import Entry, from_cookie, from_link, from_prolific, way_of
from convergan.study.joining import Closed, find_participant, join
from convergan.study.keys import Keys
from convergan.study.tasks import NoSession, authenticated, require_time_left
from convergan.study.web.guard import SESSION
from convergan.study.web.site import SiteDep

_ENTRY = "entry"
"""The cookie with who is at the door."""

_COOKIE_SECONDS = 365 * 24 * 3600
"""Longer than a session lasts: its last page is there afterwards too."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")

router = APIRouter()


async def _entry_of(site: SiteDep, entry: Annotated[str | None, Cookie()] = None) -> Entry | None:
    """Who is at the door, by the cookie that a link has set."""
    return from_cookie(site.keys, entry)


_EntryDep = Annotated[Entry | None, Depends(_entry_of)]
_SessionCookie = Annotated[str, Cookie()]


@router.get("/")
def landing(site: SiteDep, session: _SessionCookie = "") -> Response:
    """The page of who came without a link; a participant goes on."""
    if _has_session(site.database, session):
        return RedirectResponse("/study", 303)
    return site.page("landing")


@router.get("/join")
def miss_the_link(site: SiteDep) -> Response:
    """The page of who came with half a link."""
    return site.page("landing", status=404)


@router.get("/join/{link}")
def follow_link(
    request: Request,
    site: SiteDep,
    link: str,
    entry: Annotated[str | None, Cookie()] = None,
    PROLIFIC_PID: str = "",
    STUDY_ID: str = "",
    SESSION_ID: str = "",
) -> Response:
    """Remembers who came by a link, and leads on to the consent."""
    if way_of(site.keys, link) == "prolific":
        known = _sent_by_prolific(site.keys, PROLIFIC_PID, STUDY_ID, SESSION_ID)
    else:
        known = from_link(site.keys, link, entry)
    if known is None:
        return site.page("landing", status=404)
    # At once to an address without identifiers.
    response = RedirectResponse("/consent", 303)
    _set_cookie(request, response, _ENTRY, known.to_cookie(site.keys))
    return response


@router.get("/consent")
def consent(site: SiteDep, known: _EntryDep) -> Response:
    """The page that informs, and asks for consent."""
    if known is None:
        return RedirectResponse("/", 303)
    with site.database.reading() as transaction:
        participant = find_participant(transaction, known)
        if participant is not None:
            require_time_left(participant, time.time())
    returning = participant is not None
    return site.page("consent", returning=returning, simulated=known.way == "preview")


@router.post("/consent")
def start(
    request: Request, site: SiteDep, known: _EntryDep, agree: Annotated[str, Form()] = ""
) -> Response:
    """Begins a session, or goes on with it, for who has agreed."""
    if known is None:
        return RedirectResponse("/", 303)
    if agree != "yes":
        return site.page("goodbye", outcome="declined", way=known.way)
    try:
        with site.database.writing() as transaction:
            token = join(transaction, known, time.time())
    except Closed as closed:
        outcome = "full" if closed.full else "paused"
        return site.page("goodbye", outcome=outcome, way=known.way)
    response = RedirectResponse("/study", 303)
    _set_cookie(request, response, SESSION, token)
    return response


@router.get("/study")
def study(site: SiteDep, session: _SessionCookie = "") -> Response:
    """The page on which a participant judges images."""
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, time.time())
    except NoSession:
        return RedirectResponse("/consent", 303)
    if participant.finished_at is not None:
        return RedirectResponse("/done", 303)
    return site.page("study", participant=participant, simulated=participant.simulated)


@router.get("/done")
def done(site: SiteDep, session: _SessionCookie = "") -> Response:
    """The last page: the code, and what the study was about."""
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, time.time())
            told = debrief(transaction, participant)
    except NoSession:
        return RedirectResponse("/consent", 303)
    if told is None:
        return RedirectResponse("/study", 303)
    return site.page("done", participant=participant, simulated=participant.simulated, told=told)


def _has_session(database: Database, token: str) -> bool:
    try:
        with database.reading() as transaction:
            authenticated(transaction, token, time.time())
    except NoSession:
        return False
    return True


def _sent_by_prolific(keys: Keys, pid: str, study: str, session: str) -> Entry | None:
    given = [pid, *(each for each in (study, session) if each)]
    if not all(_IDENTIFIER.fullmatch(each) for each in given):
        return None
    return from_prolific(keys, pid, study, session)


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
