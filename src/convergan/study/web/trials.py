"""What the script of the trial page talks to: where it goes on, images, votes."""

import time
from typing import Annotated

from fastapi import APIRouter, Cookie
from fastapi.responses import Response
from pydantic import BaseModel

from convergan.study.tasks import State, authenticated, image_content, state_of
from convergan.study.timed import claim, replace_seen
from convergan.study.voting import Ballot, Key, Position, Receipt, record
from convergan.study.web.site import Site

_Token = Annotated[str, Cookie(alias="session")]


class Attempt(BaseModel):
    """A timed image is about to be shown."""

    position: Position
    key: Key


class Exposure(BaseModel):
    """For how long it is to be shown."""

    exposure_ms: int


def trial_routes(site: Site) -> APIRouter:
    """The routes that the trial page's script uses."""
    routes = APIRouter()
    database, plan = site.database, site.plan

    @routes.post("/api/resume")
    def resume(token: _Token = "") -> State:
        with database.writing() as session:
            participant = authenticated(session, token, time.time(), lock=True)
            if plan.timed:
                replace_seen(session, participant)
            return state_of(session, participant)

    @routes.post("/api/show")
    def show(attempt: Attempt, token: _Token = "") -> Exposure:
        with database.writing() as session:
            participant = authenticated(session, token, time.time(), lock=True)
            return Exposure(exposure_ms=claim(session, participant, attempt.position, attempt.key))

    @routes.post("/api/votes")
    def vote(ballot: Ballot, token: _Token = "") -> Receipt:
        # The answer is sent when the block has ended, and the vote is on the disk.
        with database.writing() as session:
            now = time.time()
            participant = authenticated(session, token, now, lock=True)
            return record(session, plan, participant, ballot, now)

    @routes.get("/image/{address}")
    def image(address: str, token: _Token = "") -> Response:
        with database.reading() as session:
            content = image_content(session, token, address, time.time())
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type="image/png")

    return routes
