"""Documents that the server sends: the first one of every page, and a built report to be shown as slides.

The first document holds the style of the pages, and names the scripts that every page needs. What a page's script sends
arrives after the scripts of the browser: a style among it would move what stands there already. Streamlit loads the
script of a widget once one is drawn, with a grey bar of another height in its place; those that every page has are
asked for at once.

A report lies in a run folder, which may come from somebody else: the browser is told to let its scripts run, and to
keep them away from the dashboard, its cookies and every other address.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from winnow.engine.runs.run import run_below, runs_folder
from winnow.engine.runs.study import find_study

PLACE = re.compile(r"/slides/(run|study)/([^/]+)\.html$")
MOST_BYTES = 8_000_000
REPORT = Path("report") / "report.html"
HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"sandbox allow-scripts allow-downloads; connect-src 'none'; form-action 'none'"),
    (b"cache-control", b"no-store"),
)
STYLE = Path(__file__).resolve().parent / "canvas" / "navigation.css"
STATIC = Path(streamlit.__file__).resolve().parent / "static" / "static"  # as the document's ./static
EVERYWHERE = (
    "Html", "StreamlitMarkdown", "PageLink", "Button", "Selectbox", "Metric", "ButtonGroup", "DownloadButton",
    "BidiComponent", "NumberInput", "TextInput", "Checkbox",
)  # fmt: skip
IMPORTED = re.compile(r'(?:from|import)\s*"\./([\w.-]+\.js)"')
HEAD = b"</head>"
CHANGING = (b"accept-encoding", b"if-none-match", b"if-modified-since")  # of a request for the document
FIXED = (b"content-length", b"etag", b"last-modified")  # of an answer: they say what the document was without the style


class Slides:
    """ASGI middleware that answers for the address of slides; all else goes on. It stands behind the guard."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the report that the address names, or say that there is none."""
        asked = PLACE.search(scope["path"]) if scope["type"] == "http" else None
        if asked is None or scope.get("method") not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        content = await run_in_threadpool(built_report, asked[1], unquote(asked[2]))
        status = 404 if content is None else 200
        headers = [*HEADERS, (b"content-length", str(len(content or b"")).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content or b""})


def place_of(kind: str, name: str, first: str = "") -> str:
    """Return the address of the slides of a run or study, seen from a page; they begin at the section `first`."""
    return f"slides/{kind}/{quote(name)}.html#present{'=' if first else ''}{first}"


def built_report(kind: str, name: str) -> bytes | None:
    """Return the built report of the run or study of this name, None where there is none."""
    try:
        folder = (run_below(runs_folder(), name) if kind == "run" else find_study(name)).path
        file = folder / REPORT
        if not file.is_file() or file.is_symlink() or file.stat().st_size > MOST_BYTES:
            return None
        return file.read_bytes()
    except (OSError, ValueError):
        return None


class Styled:
    """ASGI middleware that writes the style into the head of every document; all else goes on as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._style = b"<style>" + STYLE.read_bytes() + b"</style>" + "".join(preloads(STATIC)).encode() + HEAD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; where a document comes back, add the style to it."""
        if scope["type"] != "http" or scope.get("method") != "GET" or not _wants_document(scope):
            await self._app(scope, receive, send)
            return
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in CHANGING]
        document = _Document(send, self._style)
        await self._app({**scope, "headers": kept}, receive, document.send)


def preloads(static: Path) -> list[str]:
    """Return links to the font of the icons and to the scripts of EVERYWHERE with all they import; none that is absent.

    `static` is the folder of Streamlit's own files. Their names hold a digest, which other versions have others of.
    """
    fonts = [f"media/{file.name}" for file in static.glob("media/MaterialSymbols-Rounded.*.woff2")]
    first = [file.name for name in EVERYWHERE for file in sorted(static.glob(f"js/{name}.*.js"))]
    scripts = _with_imports(static / "js", first)
    links = [f'<link rel="preload" as="font" type="font/woff2" crossorigin href="./static/{name}">' for name in fonts]
    return links + [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts]


def _with_imports(folder: Path, names: list[str]) -> list[str]:
    """Return the scripts and all that they import at once, each once."""
    found: dict[str, None] = {}
    while names:
        name = names.pop()
        if name not in found and (folder / name).is_file():
            found[name] = None
            names += IMPORTED.findall((folder / name).read_text("utf-8", "ignore"))
    return sorted(found)


class _Document:
    """Holds a document back until it is whole, and sends it on with the style."""

    def __init__(self, send: Send, style: bytes) -> None:
        self._send, self._style = send, style
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_document(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = self._body.replace(HEAD, self._style, 1)
        headers = [(name, value) for name, value in start["headers"] if name.lower() not in FIXED]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _wants_document(scope: Scope) -> bool:
    """Return whether a browser asks for a page and not for a file or data of it."""
    accepted = b", ".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    return b"text/html" in accepted


def _is_document(message: Message) -> bool:
    headers = {name.lower(): value for name, value in message["headers"]}
    plain = not headers.get(b"content-encoding")
    return message["status"] == 200 and plain and headers.get(b"content-type", b"").startswith(b"text/html")
