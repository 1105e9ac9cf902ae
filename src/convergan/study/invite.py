"""Links to a study, and what a recruiting platform needs to know."""

from contextlib import closing

from convergan.errors import UserError
from convergan.study.entry import Way, new_link
from convergan.study.keys import Keys
from convergan.study.opening import open_study
from convergan.study.outcome import CODES
from convergan.study.schema import Study


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
