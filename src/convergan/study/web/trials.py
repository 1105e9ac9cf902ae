"""Requests of the script on the trial page: state of the session, images, votes."""

import time

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from convergan.study.collect.tasks import State, authenticated, image_content, state_of
from convergan.study.collect.timed import claim, replace_seen
from convergan.study.collect.voting import Ballot, Key, Position, Receipt, record
from convergan.study.web.site import SessionToken, SiteDep

router = APIRouter()


class Attempt(BaseModel):
    """Request to show a timed image."""

    position: Position
    key: Key


class Exposure(BaseModel):
    """Response to an `Attempt`: the time for which the image is to be shown."""

    exposure_ms: int


@router.post("/api/resume")
def resume(site: SiteDep, token: SessionToken) -> State:
    """Return the state of the session; replace a timed image that was seen but not answered."""
    with site.database.writing() as session:
        participant = authenticated(session, token, time.time(), lock=True)
        if site.plan.timed:
            replace_seen(session, participant)
        return state_of(session, participant)


@router.post("/api/show")
def show(site: SiteDep, attempt: Attempt, token: SessionToken) -> Exposure:
    """Claim a timed image for one attempt to show it."""
    with site.database.writing() as session:
        participant = authenticated(session, token, time.time(), lock=True)
        return Exposure(exposure_ms=claim(session, participant, attempt.position, attempt.key))


@router.post("/api/votes")
def vote(site: SiteDep, ballot: Ballot, token: SessionToken) -> Receipt:
    """Record a vote; the response is sent after the transaction, when the vote is on the disk."""
    with site.database.writing() as session:
        now = time.time()
        participant = authenticated(session, token, now, lock=True)
        return record(session, site.plan, participant, ballot, now)


@router.get("/image/{address}")
def image(site: SiteDep, address: str, token: SessionToken) -> Response:
    """Send the image of an open trial, as PNG."""
    with site.database.reading() as session:
        content = image_content(session, token, address, time.time())
    if content is None:
        return Response(status_code=404)
    return Response(content, media_type="image/png")
