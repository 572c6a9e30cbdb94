"""Who is let in to the dashboard's server, before Streamlit sees a request.

| check  | refuses                                                                                                   |
|--------|-----------------------------------------------------------------------------------------------------------|
| Host   | a name that is not this server's: a site whose name was pointed at this machine (DNS rebinding)           |
| Origin | a websocket or a change asked for by another site, by another port of this machine, or without an origin  |
| token  | whoever did not open the printed link, where there is a token; a cookie holds it from then on             |

Every answer forbids other sites to show the page in a frame, and to learn its address.
"""

import hmac
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ACCESS = "WINNOW_ACCESS"  # as engine.cli.serve sets it
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN = "/_stcore/health"  # for those who only ask whether the server is up
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
CLOSED = "This dashboard asks for a token. Open the link that `winnow dashboard` printed where it was started."
FOREIGN = (
    "This address is not one that the dashboard was started with. See `winnow dashboard --help`: --host, --origin."
)


@dataclass(frozen=True)
class Access:
    """Whom the server lets in: a token ("" for none), the names it is called by, origins of proxies before it.

    `base_path` is where it lies at these names, without slashes at its ends: others may lie beside it.
    """

    token: str = ""
    port: int = 8501
    base_path: str = ""
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    local: bool = True

    @property
    def cookie(self) -> str:
        """The name of the cookie: ports of one machine share their cookies."""
        return f"winnow_{self.port}"


def access_from_environment() -> Access:
    """Return what the command that started the server said; this machine alone, without a token, where none did."""
    said = json.loads(os.environ.get(ACCESS, "{}"))
    lists = {name: tuple(map(str, said.get(name, ()))) for name in ("hosts", "origins")}
    port, base = int(said.get("port", 8501)), str(said.get("base_path", ""))
    return Access(str(said.get("token", "")), port, base, **lists, local=bool(said.get("local", True)))


class Guard:
    """ASGI middleware that lets in whom `Access` describes."""

    def __init__(self, app: ASGIApp, access: Access | None = None) -> None:
        self._app = app
        self._access = access or access_from_environment()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = _Request.of(scope)
        why = self._refusal(request)
        if why:
            await _refuse(scope, send, why)
        elif request.given_token and scope["type"] == "http":
            await _welcome(send, request, self._access)
        else:
            await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    def _refusal(self, request: "_Request") -> str:
        """Return why a request is refused, "" if it is not."""
        access = self._access
        if not _named(request.host, access):
            return FOREIGN
        if request.changes and not _same_site(request, access):
            return FOREIGN
        if access.token and request.path.endswith(OPEN) and not request.changes:
            return ""
        if access.token and not _equal(request.cookies.get(access.cookie, ""), access.token):
            return "" if _equal(request.given_token, access.token) and not request.changes else CLOSED
        return ""


@dataclass(frozen=True)
class _Request:
    """What a request says of itself."""

    path: str
    query: tuple[tuple[str, str], ...]
    host: str
    origin: str
    cookies: dict[str, str]
    changes: bool

    @property
    def given_token(self) -> str:
        return dict(self.query).get("token", "")

    @classmethod
    def of(cls, scope: Scope) -> "_Request":
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        changes = scope["type"] == "websocket" or scope.get("method", "GET") not in SAFE
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return cls(
            path=scope["path"],
            query=query,
            host=headers.get("host", ""),
            origin=headers.get("origin", ""),
            cookies=_cookies(headers.get("cookie", "")),
            changes=changes,
        )


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _named(host: str, access: Access) -> bool:
    """Return whether a Host header names this server: with a token, or as an address, it cannot be a rebound name."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:  # half an IPv6 address
        return False
    if name in LOOPBACK or name in {known.lower() for known in access.hosts}:
        return True
    return not access.local and (bool(access.token) or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _same_site(request: _Request, access: Access) -> bool:
    """Return whether a page of ours asks: its origin is the host that it asks, or a proxy's."""
    try:
        asking = urlsplit(request.origin).netloc
    except ValueError:
        return False
    return asking == request.host != "" or request.origin in access.origins


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


async def _refuse(scope: Scope, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403})
        return
    await _answer(send, 403, [(b"content-type", b"text/plain; charset=utf-8")], f"{why}\n".encode())


async def _welcome(send: Send, request: _Request, access: Access) -> None:
    """Put the token into a cookie, and lead to the same address without it: no bookmark or history holds it."""
    query = urlencode([(name, value) for name, value in request.query if name != "token"])
    place = f"{'/' + request.path.lstrip('/')}{'?' + query if query else ''}"  # never //elsewhere
    headers = [(b"location", place.encode("latin-1", "ignore"))]
    if access.token:
        cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Lax; Path=/{access.base_path}"
        headers.append((b"set-cookie", cookie.encode()))
    await _answer(send, 303, headers, b"")


async def _answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in HEADERS} - {b"content-security-policy"}  # of several, all hold
            kept = [(name, value) for name, value in message["headers"] if name.lower() not in ours]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return sent
