"""The participant's pages: the door, consent, the study itself, the end."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from convergan.study.collect.debrief import debrief
from convergan.study.collect.entry import (
    Entry,
    another_person,
    from_cookie,
    from_link,
    from_prolific,
    way_of,
)
from convergan.study.collect.joining import find_participant, join
from convergan.study.collect.places import require_arm_place, require_place
from convergan.study.collect.tasks import NoSession, answered_by, authenticated, require_time_left
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Study
from convergan.study.web.cookies import ENTRY, SESSION
from convergan.study.web.limits import visitor_at
from convergan.study.web.site import EntryCookie, SessionToken, Site, SiteDep

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")

router = APIRouter()


async def _entry_of(site: SiteDep, cookie: EntryCookie) -> Entry | None:
    """Who is at the door, by the cookie that a link has set."""
    return from_cookie(site.keys, cookie)


_EntryDep = Annotated[Entry | None, Depends(_entry_of)]


@router.get("/")
def landing(site: SiteDep, session: SessionToken) -> Response:
    """The page of who came without a link; a participant goes on."""
    if _has_session(site.database, session):
        return _to(site, "/study")
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
    entry: EntryCookie,
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
    response = _to(site, "/consent?by=link")
    site.cookies.keep(request, response, ENTRY, known.to_cookie(site.keys))
    return response


@router.get("/consent")
def consent(site: SiteDep, known: _EntryDep, by: str = "") -> Response:
    """The page that informs, and asks for consent; whoever finds no place learns that here."""
    if known is None:
        # A link has just had the browser keep who came.
        return site.page("cookies") if by == "link" else _to(site, "/")
    with site.database.reading() as transaction:
        participant = find_participant(transaction, known)
        if participant is not None:
            require_time_left(participant, time.time())
        else:
            require_place(transaction, transaction.get_one(Study, 1), known.way, time.time())
    return site.page(
        "consent", participant=participant, way=known.way, simulated=known.way == "preview"
    )


@router.post("/consent")
def start(
    request: Request, site: SiteDep, known: _EntryDep, agree: Annotated[str, Form()] = ""
) -> Response:
    """Begins a session, or goes on with it, for who has agreed."""
    if known is None:
        return _to(site, "/")
    if agree != "yes":
        return site.page("goodbye", outcome="declined", way=known.way)
    address = visitor_at(request.client.host) if request.client else ""
    # A personal link is a limit of its own.
    if known.way != "personal" and not site.new_sessions.allows(address):
        busy = site.page("goodbye", status=429, outcome="busy", way=known.way)
        busy.headers["Retry-After"] = "60"
        return busy
    with site.database.writing() as transaction:
        token = join(transaction, known, time.time())
    response = _to(site, "/study")
    site.cookies.keep(request, response, SESSION, token)
    return response


@router.post("/another")
def make_room(request: Request, site: SiteDep, known: _EntryDep) -> Response:
    """Lets somebody else take part in a browser where somebody has: by an open link, which many have."""
    if known is None or known.way != "open":
        return _to(site, "/consent")
    response = _to(site, "/consent?by=link")
    site.cookies.keep(request, response, ENTRY, another_person(site.keys).to_cookie(site.keys))
    site.cookies.drop(response, SESSION)
    return response


@router.get("/study")
def study(site: SiteDep, session: SessionToken) -> Response:
    """The page on which a participant judges images."""
    now = time.time()
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, now)
            if answered_by(transaction, participant.id) == 0:
                about = transaction.get_one(Study, 1)
                require_arm_place(transaction, about, participant, now)
    except NoSession:
        return _to(site, "/consent")
    if participant.finished_at is not None:
        return _to(site, "/done")
    return site.page("study", participant=participant, simulated=participant.simulated)


@router.get("/done")
def done(site: SiteDep, session: SessionToken) -> Response:
    """The last page: the code, and what the study was about."""
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, time.time())
            told = debrief(transaction, participant)
    except NoSession:
        return _to(site, "/consent")
    if told is None:
        return _to(site, "/study")
    return site.page("done", participant=participant, simulated=participant.simulated, told=told)


def _to(site: Site, path: str) -> RedirectResponse:
    return RedirectResponse(site.root + path, 303)


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
