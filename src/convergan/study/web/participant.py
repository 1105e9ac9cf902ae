"""Pages for participants: links, consent, the trials, the end."""

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
from convergan.study.collect.tasks import NoSession, authenticated, require_time_left
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys
from convergan.study.storage.schema import Study
from convergan.study.web.cookies import ENTRY, SESSION
from convergan.study.web.limits import visitor_at
from convergan.study.web.site import EntryCookie, SessionToken, Site, SiteDep

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")

router = APIRouter()


async def _entry_of(site: SiteDep, cookie: EntryCookie) -> Entry | None:
    """Read the entry of a person from the cookie that a link has set."""
    return from_cookie(site.keys, cookie)


_EntryDep = Annotated[Entry | None, Depends(_entry_of)]


@router.get("/")
def landing(site: SiteDep, session: SessionToken) -> Response:
    """Show the page for people without a link; participants continue their session."""
    if _has_session(site.database, session):
        return _redirect(site, "/study")
    return site.page("landing")


@router.get("/join")
def miss_the_link(site: SiteDep) -> Response:
    """Show the page for people with an incomplete link."""
    return site.page("landing", status=404)


@router.get("/join/{link}")
def follow_link(
    request: Request,
    site: SiteDep,
    link: str,
    cookie: EntryCookie,
    PROLIFIC_PID: str = "",
    STUDY_ID: str = "",
    SESSION_ID: str = "",
) -> Response:
    """Remember a person who came by a link, and redirect to the consent page."""
    if way_of(site.keys, link) == "prolific":
        entry = _sent_by_prolific(site.keys, PROLIFIC_PID, STUDY_ID, SESSION_ID)
    else:
        entry = from_link(site.keys, link, cookie)
    if entry is None:
        return site.page("landing", status=404)
    # Redirect at once to an address without identifiers.
    response = _redirect(site, "/consent?by=link")
    site.cookies.keep(request, response, ENTRY, entry.to_cookie(site.keys))
    return response


@router.get("/consent")
def consent(
    site: SiteDep,
    entry: _EntryDep,
    by: str = "",  # words: a parameter of the address
) -> Response:
    """Show the page that informs and asks for consent, or that all places are taken."""
    if entry is None:
        # If a link has just set the cookie, the browser has refused it.
        return site.page("cookies") if by == "link" else _redirect(site, "/")
    with site.database.reading() as transaction:
        participant = find_participant(transaction, entry)
        if participant is not None:
            require_time_left(participant, time.time())
        else:
            require_place(transaction, transaction.get_one(Study, 1), entry.way, time.time())
    return site.page(
        "consent", participant=participant, way=entry.way, simulated=entry.way == "preview"
    )


@router.post("/consent")
def start(
    request: Request, site: SiteDep, entry: _EntryDep, agree: Annotated[str, Form()] = ""
) -> Response:
    """Start or continue the session of a person who has agreed."""
    if entry is None:
        return _redirect(site, "/")
    if agree != "yes":
        return site.page("goodbye", outcome="declined", way=entry.way)
    address = visitor_at(request.client.host) if request.client else ""
    # Links for one person need no other limit, and the researcher's none at all.
    limited = entry.way in ("open", "prolific") and _is_new(site, entry)
    if limited and not site.new_sessions.allows(address):
        busy = site.page("goodbye", status=429, outcome="busy", way=entry.way)
        busy.headers["Retry-After"] = "60"
        return busy
    with site.database.writing() as transaction:
        token = join(transaction, entry, time.time())
    response = _redirect(site, "/study")
    site.cookies.keep(request, response, SESSION, token)
    return response


@router.post("/another")
def make_room(request: Request, site: SiteDep, entry: _EntryDep) -> Response:
    """Let another person take part in the same browser, by an open link, which many people have."""
    if entry is None or entry.way != "open":
        return _redirect(site, "/consent")
    response = _redirect(site, "/consent?by=link")
    site.cookies.keep(request, response, ENTRY, another_person(site.keys).to_cookie(site.keys))
    site.cookies.drop(request, response, SESSION)
    return response


@router.get("/study")
def study(site: SiteDep, session: SessionToken) -> Response:
    """Show the page on which a participant judges images."""
    now = time.time()
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, now)
            require_arm_place(transaction, transaction.get_one(Study, 1), participant, now)
    except NoSession:
        return _redirect(site, "/consent")
    if participant.finished_at is not None:
        return _redirect(site, "/done")
    return site.page("study", participant=participant, simulated=participant.simulated)


@router.get("/done")
def done(site: SiteDep, session: SessionToken) -> Response:
    """Show the last page: the score, the completion code, and what the study is about."""
    try:
        with site.database.reading() as transaction:
            participant = authenticated(transaction, session, time.time())
            score = debrief(transaction, participant)
    except NoSession:
        return _redirect(site, "/consent")
    if score is None:
        return _redirect(site, "/study")
    return site.page("done", participant=participant, simulated=participant.simulated, score=score)


def _redirect(site: Site, path: str) -> RedirectResponse:
    return RedirectResponse(site.root + path, 303)


def _is_new(site: Site, entry: Entry) -> bool:
    """Return whether a person has no session yet; raise Closed if a new one cannot start."""
    with site.database.reading() as transaction:
        if find_participant(transaction, entry) is not None:
            return False
        require_place(transaction, transaction.get_one(Study, 1), entry.way, time.time())
        return True


def _has_session(database: Database, token: str) -> bool:
    try:
        with database.reading() as transaction:
            authenticated(transaction, token, time.time())
    except NoSession:
        return False
    return True


def _sent_by_prolific(keys: Keys, pid: str, study: str, session: str) -> Entry | None:
    identifiers = [pid, *(text for text in (study, session) if text)]
    if not all(_IDENTIFIER.fullmatch(identifier) for identifier in identifiers):
        return None
    return from_prolific(keys, pid, study, session)
