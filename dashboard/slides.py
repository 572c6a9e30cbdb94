"""The built report of a run or study, sent as a page of its own to be shown as slides.

It lies in a run folder, which may come from somebody else: the browser is told to let its scripts run, and to keep them
away from the dashboard, its cookies and every other address.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

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
