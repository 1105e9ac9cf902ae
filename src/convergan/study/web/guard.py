"""What stands before every page: limits, the defence against other sites' requests, and safe headers."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convergan.study.keys import digest
from convergan.study.web.limits import Limit

SESSION = "session"
"""The cookie with a participant's token."""

LARGEST_BODY = 16 * 1024
"""Bytes. What is sent here are answers and buttons."""

_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self' blob:; script-src 'self';"
        " style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # The address that a participant came by holds the platform's identifier.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Requests at once, and a second. A whole class behind one address must fit; a session needs two a trial.
_ADDRESS_LIMIT = (2000, 400)
_SESSION_LIMIT = (100, 20)
_LOGIN_LIMIT = (10, 0.1)

_SAFE_METHODS = ("GET", "HEAD")


class Guard:
    """Middleware for all requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._by_address = Limit(*_ADDRESS_LIMIT)
        self._by_session = Limit(*_SESSION_LIMIT)
        self._by_login = Limit(*_LOGIN_LIMIT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refusal(scope)
        app = refused if refused is not None else self._app
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._in_limits(scope, headers):
            return PlainTextResponse("Too many requests.", 429, {"Retry-After": "1"})
        if scope["method"] in _SAFE_METHODS:
            return None
        if is_cross_site(headers):
            return PlainTextResponse("This request comes from another site.", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return PlainTextResponse("Expected a short request of known length.", 413)
        return None

    def _in_limits(self, scope: Scope, headers: Headers) -> bool:
        address = scope["client"][0] if scope.get("client") else ""
        if not self._by_address.allows(address):
            return False
        if scope["path"] == "/admin/login" and scope["method"] == "POST":
            return self._by_login.allows(address)
        token = cookie_parser(headers.get("cookie", "")).get(SESSION)
        # By its digest: tokens are not kept.
        return token is None or self._by_session.allows(digest(token))


def is_cross_site(headers: Headers) -> bool:
    """Whether a browser says that another site's page sent the request."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
