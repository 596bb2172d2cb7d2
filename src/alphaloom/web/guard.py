"""What stands before every request: who may ask, from where, how much, and what a browser may do with the answer."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from alphaloom.web.settings import WebSettings, is_loopback

COOKIE = "alphaloom_session"
OPEN = ("/login", "/api/login")
"""Paths that need no token, and `/static/`."""
SAFE = ("GET", "HEAD")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Plotly writes style elements, hence 'unsafe-inline' for styles alone."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report is a file of a run: its scripts run in an origin of their own, without network and without our cookie."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": PAGE_POLICY,
}
"""Added where an answer does not set them itself."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Refusal(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, detail: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, tuple(headers)


class Guard:
    """ASGI middleware: host, origin, token, size and kind of the body; then security headers on the answer."""

    def __init__(self, app: App, settings: WebSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before the application sees it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})  # none is served
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {key.lower() for key, _ in message.get("headers", [])}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in have]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            self._check_host(headers)
            await self._check_token(scope, headers)
            if scope["method"] not in SAFE:
                self._check_origin(headers)
                receive = await self._whole_body(headers, receive)
        except _Refusal as refusal:
            await _answer(guarded, refusal)
            return
        await self.app(scope, receive, guarded)

    def _check_host(self, headers: dict[str, str]) -> None:
        """A page of another site whose name was made to point here (DNS rebinding) sends its own name."""
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname if _is_sound(host) else None
        if name is None or (self.settings.is_local and not is_loopback(name)):
            raise _Refusal(421, "This server answers to its own address alone.")

    def _check_origin(self, headers: dict[str, str]) -> None:
        """Browsers say which site a request comes from; programs say nothing, and carry no cookie of the user."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        foreign = origin is not None and (not _is_sound(origin) or urlsplit(origin).netloc != headers.get("host"))
        if foreign or site not in {"same-origin", "none"}:
            raise _Refusal(403, "Requests from other sites are refused.")

    async def _check_token(self, scope: Scope, headers: dict[str, str]) -> None:
        path = scope["path"]
        if self.settings.token is None or path in OPEN or path.startswith("/static/"):
            return
        if is_admitted(self.settings.token, headers):
            return
        if path.startswith("/api/"):
            raise _Refusal(401, "Give the token: Authorization: Bearer TOKEN.", [("www-authenticate", "Bearer")])
        raise _Refusal(303, "Log in first.", [("location", "/login")])

    async def _whole_body(self, headers: dict[str, str], receive: Receive) -> Receive:
        """Return a `receive` that gives the body already read, no longer than allowed and of a kind that is taken."""
        longest = self.settings.longest_body
        length = headers.get("content-length", "0")
        too_long = _Refusal(413, f"The request is longer than {longest:,} bytes.")
        if not length.isdigit():
            raise _Refusal(400, "Content-Length must be a number.")
        if int(length[:20]) > longest:
            raise too_long
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > longest:
                raise too_long
        if body and headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise _Refusal(415, "Send JSON (Content-Type: application/json).")
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay


def is_admitted(token: str, headers: dict[str, str]) -> bool:
    """Return whether a request carries the token, or the cookie that it was exchanged for."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and same(given.strip(), token):
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and same(cookie.value, session_of(token))


def same(given: str, wanted: str) -> bool:
    """Return whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def session_of(token: str) -> str:
    """Return the cookie's value: it proves that its bearer knew the token, and does not hold it."""
    return hmac.new(token.encode(), b"alphaloom session", hashlib.sha256).hexdigest()


async def slow_down() -> None:
    """Wait, so that guessing takes long."""
    await asyncio.sleep(0.5)


def _is_sound(text: str) -> bool:
    try:
        return bool(text) and urlsplit(text if "//" in text else f"//{text}").netloc != ""
    except ValueError:
        return False


async def _answer(send: Send, refusal: _Refusal) -> None:
    body = json.dumps({"detail": refusal.detail}).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body))), *refusal.headers]
    start = {"type": "http.response.start", "status": refusal.status}
    await send({**start, "headers": [(key.encode(), value.encode()) for key, value in headers]})
    await send({"type": "http.response.body", "body": body})
