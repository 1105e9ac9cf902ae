"""Cookies of one study; other studies and programs may be served from the same host."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from convergan.study.storage.keys import Keys

SESSION = "session"
"""Kind of the cookie that holds a participant's token."""

ENTRY = "entry"
"""Kind of the cookie that identifies a person who came by a link."""

ADMIN = "admin"
"""Kind of the cookie that shows that a researcher has signed in."""

_YEAR = 365 * 24 * 3600
"""Seconds in a year. Cookies outlive sessions, so that the last page stays available."""


@dataclass(frozen=True)
class Cookies:
    """Cookies with names that no other study has: browsers do not separate the cookies of different ports."""

    study: str
    """Short name of this study alone, which reveals nothing about it."""
    root: str
    """Path that the study is served under; "" for a whole host."""

    def name(self, kind: str) -> str:
        """Return the name of a cookie in browsers."""
        return f"{kind}-{self.study}"

    def read(self, headers: Headers, kind: str) -> str:
        """Return the value of a cookie that a browser sent; "" without one.

        Without one, the cookie of its former name is read, so that sessions continue when the server is
        updated.
        """
        cookies = cookie_parser(headers.get("cookie", ""))
        return cookies.get(self.name(kind), cookies.get(kind, ""))

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
        """Set a cookie for `path` below the study's root, out of reach of scripts, for so many seconds."""
        response.set_cookie(
            self.name(kind),
            value,
            max_age=seconds,
            path=self.root + path or "/",
            httponly=True,
            samesite="strict" if strict else "lax",
            secure=request.url.scheme == "https",
        )

    def drop(self, request: Request, response: Response, kind: str, *, path: str = "") -> None:
        """Empty a cookie in a browser.

        It is not deleted: in its absence the cookie of its former name would count again. That one stays, as
        another program on the host may have set it.
        """
        self.keep(request, response, kind, "", path=path)


def cookies_of(keys: Keys, root: str) -> Cookies:
    """Name the cookies of the study that has these keys."""
    return Cookies(keys.hashed("cookies", "")[:12], root)
