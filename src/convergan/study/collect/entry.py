"""How people come to a study, and how they are known again without keeping who they are."""

from contextlib import closing
from dataclasses import dataclass
from typing import Literal, get_args

from convergan.errors import UserError
from convergan.study.collect.outcome import CODES
from convergan.study.storage.keys import Keys, new_token
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Study

Way = Literal["prolific", "personal", "open", "preview"]
"""`prolific`: one link for all whom Prolific sends, who name themselves behind it; `personal`: a link for one
person; `open`: one link for many, one session for each browser; `preview`: the researcher's own look, a new
session each time, which counts nowhere."""

_WAYS: dict[str, Way] = {way: way for way in get_args(Way)}


@dataclass(frozen=True)
class Entry:
    """One person at the door. Identifiers are keyed-hashed here, and go no further as they are."""

    way: Way
    person: str
    submission: str | None = None
    platform_study: str | None = None

    def to_cookie(self, keys: Keys) -> str:
        """What the browser keeps until the person has consented; signed."""
        parts = (self.way, self.person, self.submission or "", self.platform_study or "")
        return keys.signed("entry", "~".join(parts))


def from_prolific(keys: Keys, pid: str, study: str, session: str) -> Entry:
    """Someone whom Prolific sent, with the parameters PROLIFIC_PID, STUDY_ID and SESSION_ID."""
    return Entry(
        "prolific",
        keys.hashed("person", pid),
        keys.hashed("submission", session) if session else None,
        keys.hashed("platform study", study) if study else None,
    )


def new_link(keys: Keys, way: Way) -> str:
    """The last part of a new link's address."""
    return keys.signed("link", f"{way}-{new_token()[:16]}")


def way_of(keys: Keys, link: str) -> Way | None:
    """Who comes by a link; None if this study has given out no such link."""
    named = keys.verified("link", link)
    return _WAYS.get(named.partition("-")[0]) if named else None


def from_link(keys: Keys, link: str, cookie: str | None) -> Entry | None:
    """Someone who followed a link; None if this study has given out no such link, or only for Prolific.

    Args:
        keys: the study's.
        link: what `new_link` gave.
        cookie: what an earlier visit left in this browser.
    """
    way = way_of(keys, link)
    if way is None or way == "prolific":
        return None
    if way == "personal":
        return Entry(way, keys.hashed("person", link))
    before = from_cookie(keys, cookie)
    if way == "open" and before is not None and before.way == "open":
        return before
    return Entry(way, keys.hashed("person", new_token()))


def another_person(keys: Keys) -> Entry:
    """Somebody new, by an open link that was followed before in the same browser."""
    return Entry("open", keys.hashed("person", new_token()))


def from_cookie(keys: Keys, cookie: str | None) -> Entry | None:
    """What `to_cookie` made; None for anything else."""
    text = keys.verified("entry", cookie) if cookie else None
    if text is None:
        return None
    way, person, submission, platform_study = text.split("~")
    return Entry(_WAYS[way], person, submission or None, platform_study or None)


def links(keys: Keys, url: str, way: Way, count: int) -> list[str]:
    """New links of one kind.

    Args:
        keys: the study's.
        url: where the study is reached.
        way: who may come by them.
        count: how many.

    Raises:
        UserError: an address that is none, or no link wanted.
    """
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    return [f"{_base(url)}/join/{new_link(keys, way)}" for _ in range(count)]


def prolific_settings(study: str, keys: Keys, url: str) -> str:
    """What to enter at Prolific: a link with its parameters, and a code for each outcome.

    Raises:
        UserError: an address that is none, or no study.
    """
    with closing(open_study(study)) as database, database.reading() as session:
        codes = session.get_one(Study, 1).codes
    names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
    parameters = "&".join(f"{name}={{{{%{name}%}}}}" for name in names)
    (link,) = links(keys, url, "prolific", 1)
    lines = [f"study URL: {link}?{parameters}", "completion codes:"]
    return "\n".join(
        [*lines, *(f"  {codes[outcome]}  {means}" for outcome, means in CODES.items())]
    )


def _base(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise UserError(f"url: expected an address with https://, got {url}")
    return url.rstrip("/")
