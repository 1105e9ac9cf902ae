"""The cookies of one study: several studies, and other programs, may be served from one host."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from convergan.study.storage.keys import Keys

SESSION = "session"
"""With a participant's token."""

ENTRY = "entry"
"""With who is at the door."""

ADMIN = "admin"
"""With a researcher's signature."""

_YEAR = 365 * 24 * 3600
"""In seconds. Longer than a session lasts: its last page is there afterwards too."""


@dataclass(frozen=True)
class Cookies:
    """Cookies of names that no other study has: browsers do not keep those of different ports apart."""

    study: str
    """Of this study alone, short, tells nothing."""
    root: str
    """The path that the study is served under, "" for all of a host."""

    def name(self, kind: str) -> str:
        """What a browser knows a cookie by."""
        return f"{kind}-{self.study}"

    def read(self, headers: Headers, kind: str) -> str:
        """What a browser brought; "" for nothing.

        Under its former name, too: who is under way when the study's server is brought up to date goes on.
        """
        brought = cookie_parser(headers.get("cookie", ""))
        return brought.get(self.name(kind)) or brought.get(kind, "")

    def keep(
        self,
        request: Request,
        response: Response,
        kind: str,
        value: str,
        *,
        seconds: int = _YEAR,
        path: str = "",
        strict: bool = False,
    ) -> None:
        """Has a browser keep a cookie, out of reach of scripts, for `path` below the study's root."""
        response.set_cookie(
            self.name(kind),
            value,
            max_age=seconds,
            path=self.root + path or "/",
            httponly=True,
            samesite="strict" if strict else "lax",
            secure=request.url.scheme == "https",
        )

    def drop(self, response: Response, kind: str, *, path: str = "") -> None:
        """Has a browser forget a cookie, under its former name too."""
        for name in (self.name(kind), kind):
            response.delete_cookie(name, path=self.root + path or "/")


def cookies_of(keys: Keys, root: str) -> Cookies:
    """The cookies of the study that has these keys."""
    return Cookies(keys.hashed("cookies", "")[:12], root)
