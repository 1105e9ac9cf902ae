"""Entry to a study: links, and recognizing people again without storing who they are."""

from contextlib import closing
from dataclasses import dataclass
from typing import Literal, get_args

from convergan.errors import UserError
from convergan.study.collect.outcome import CODES
from convergan.study.storage.keys import Keys, new_token
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Study

Way = Literal["prolific", "personal", "open", "preview"]
"""Ways into a study. `prolific`: one link for everyone whom Prolific sends; its parameters identify them.
`personal`: a link for one person. `open`: one link for many people, with one session per browser. `preview`:
for the researcher, a new session each time, which is not counted."""

_WAYS: dict[str, Way] = {way: way for way in get_args(Way)}


@dataclass(frozen=True)
class Entry:
    """A person who came by a link. Identifiers are replaced by keyed hashes here, and go no further."""

    way: Way
    person: str
    submission: str | None = None
    platform_study: str | None = None

    def to_cookie(self, keys: Keys) -> str:
        """Encode the entry as a signed cookie, which the browser keeps until the person consents."""
        parts = (self.way, self.person, self.submission or "", self.platform_study or "")
        return keys.signed("entry", "~".join(parts))


def from_prolific(keys: Keys, pid: str, study: str, session: str) -> Entry:
    """Make the entry of a person whom Prolific sent with PROLIFIC_PID, STUDY_ID and SESSION_ID."""
    return Entry(
        "prolific",
        keys.hashed("person", pid),
        keys.hashed("submission", session) if session else None,
        keys.hashed("platform study", study) if study else None,
    )


def new_link(keys: Keys, way: Way) -> str:
    """Generate the last part of a new link."""
    return keys.signed("link", f"{way}-{new_token()[:16]}")


def way_of(keys: Keys, link: str) -> Way | None:
    """Return the way that a link stands for; None if this study has not issued it."""
    text = keys.verified("link", link)
    return _WAYS.get(text.partition("-")[0]) if text else None


def from_link(keys: Keys, link: str, cookie: str | None) -> Entry | None:
    """Make the entry of a person who followed a link; None if this study has not issued it, or for Prolific.

    Args:
        keys: the study's keys.
        link: the last part of the link, from `new_link`.
        cookie: the entry's cookie from an earlier visit in this browser; None without one.
    """
    way = way_of(keys, link)
    if way is None or way == "prolific":
        return None
    if way == "personal":
        return Entry(way, keys.hashed("person", link))
    earlier = from_cookie(keys, cookie)
    if way == "open" and earlier is not None and earlier.way == "open":
        return earlier
    return Entry(way, keys.hashed("person", new_token()))


def another_person(keys: Keys) -> Entry:
    """Make the entry of a new person in a browser where somebody has followed an open link."""
    return Entry("open", keys.hashed("person", new_token()))


def from_cookie(keys: Keys, cookie: str | None) -> Entry | None:
    """Decode a cookie of `to_cookie`; None for anything else."""
    text = keys.verified("entry", cookie) if cookie else None
    if text is None:
        return None
    way, person, submission, platform_study = text.split("~")
    return Entry(_WAYS[way], person, submission or None, platform_study or None)


def links(keys: Keys, url: str, way: Way, count: int) -> list[str]:
    """Generate links of one kind.

    Args:
        keys: the study's keys.
        url: the address of the study, with http:// or https://.
        way: the way that the links stand for.
        count: the number of links, at least 1.

    Raises:
        UserError: the address or the number is invalid.
    """
    if count < 1:
        raise UserError(f"count: expected 1 or more, got {count}")
    return [f"{_base(url)}/join/{new_link(keys, way)}" for _ in range(count)]


def prolific_settings(study: str, keys: Keys, url: str) -> str:
    """Describe what to enter at Prolific: the link with its parameters, and a code for each outcome.

    Raises:
        UserError: the address is invalid, or there is no study.
    """
    with closing(open_study(study)) as database, database.reading() as session:
        codes = session.get_one(Study, 1).codes
    names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
    parameters = "&".join(f"{name}={{{{%{name}%}}}}" for name in names)
    (link,) = links(keys, url, "prolific", 1)
    lines = [f"study URL: {link}?{parameters}", "completion codes:"]
    return "\n".join(
        [*lines, *(f"  {codes[outcome]}  {meaning}" for outcome, meaning in CODES.items())]
    )


def _base(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise UserError(f"url: expected an address with http:// or https://, got {url}")
    return url.rstrip("/")
