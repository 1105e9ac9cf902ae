"""Protection of every page: rate limits, refusal of requests from other sites, safe headers."""

import logging
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convergan.study.storage.keys import digest
from convergan.study.web.cookies import SESSION
from convergan.study.web.limits import Limit, visitor_at
from convergan.study.web.site import Site

LARGEST_BODY = 16 * 1024
"""Largest size of a request's body, in bytes; requests hold answers and short forms."""

_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self' blob:; script-src 'self';"
        " style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # The address by which a participant came holds the platform's identifier.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Requests at once, and per second. A whole class behind one address must fit; a session needs two per trial.
_ADDRESS_LIMIT = (2000, 400)
_SESSION_LIMIT = (100, 20)
_LOGIN_LIMIT = (10, 0.1)

_SAFE_METHODS = ("GET", "HEAD")

_log = logging.getLogger("uvicorn.error")


class Guard:
    """Middleware that all requests pass through."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        self._by_address = Limit(*_ADDRESS_LIMIT)
        self._by_session = Limit(*_SESSION_LIMIT)
        self._by_login = Limit(*_LOGIN_LIMIT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI defines it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        scope = _without_root(self._site.root, scope)
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refusal(scope)
        app = refused if refused is not None else self._app
        try:
            await app(scope, receive, send_guarded)
        except Exception:
            # Handled here: further out, the response would lack the safe headers.
            _log.exception("a request failed")
            if started:
                raise
            failed = self._site.page("unavailable", status=500, lost=False)
            await failed(scope, receive, send_guarded)

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
        address = visitor_at(scope["client"][0]) if scope.get("client") else ""
        if not self._by_address.allows(address):
            return False
        if scope["path"] == "/admin/login" and scope["method"] == "POST":
            return self._by_login.allows(address)
        token = self._site.cookies.read(headers, SESSION)
        # By its digest: tokens are not stored.
        return not token or self._by_session.allows(digest(token))


def _without_root(root: str, scope: Scope) -> Scope:
    """Remove the root from a request's path, unless a proxy has already done so."""
    path = scope["path"]
    if not root or not f"{path}/".startswith(f"{root}/"):
        return scope
    return {**scope, "path": path.removeprefix(root) or "/"}


def is_cross_site(headers: Headers) -> bool:
    """Return whether the browser says that a page of another site sent the request."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
