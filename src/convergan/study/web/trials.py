"""What the script of the trial page talks to: where it goes on, images, votes."""

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
    """A timed image is about to be shown."""

    position: Position
    key: Key


class Exposure(BaseModel):
    """For how long it is to be shown."""

    exposure_ms: int


@router.post("/api/resume")
def resume(site: SiteDep, token: SessionToken) -> State:
    """Where the session goes on."""
    with site.database.writing() as session:
        participant = authenticated(session, token, time.time(), lock=True)
        if site.plan.timed:
            replace_seen(session, participant)
        return state_of(session, participant)


@router.post("/api/show")
def show(site: SiteDep, attempt: Attempt, token: SessionToken) -> Exposure:
    """Claims a timed image for one attempt to show it."""
    with site.database.writing() as session:
        participant = authenticated(session, token, time.time(), lock=True)
        return Exposure(exposure_ms=claim(session, participant, attempt.position, attempt.key))


@router.post("/api/votes")
def vote(site: SiteDep, ballot: Ballot, token: SessionToken) -> Receipt:
    """Records a vote; the answer is sent when the block has ended, and the vote is on the disk."""
    with site.database.writing() as session:
        now = time.time()
        participant = authenticated(session, token, now, lock=True)
        return record(session, site.plan, participant, ballot, now)


@router.get("/image/{address}")
def image(site: SiteDep, address: str, token: SessionToken) -> Response:
    """The image of an open trial, as PNG."""
    with site.database.reading() as session:
        content = image_content(session, token, address, time.time())
    if content is None:
        return Response(status_code=404)
    return Response(content, media_type="image/png")
