"""The style stands in the document before anything is drawn; files, data and refusals go through as they are."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from winnow.dashboard.documents import EVERYWHERE, STATIC, STYLE, Styled, preloads

PAGE = b"<!DOCTYPE html><html><head><title>x</title></head><body></body></html>"


def answered(
    body: list[bytes], kind: bytes, accept: bytes = b"text/html,*/*", status: int = 200
) -> tuple[dict, bytes, dict]:
    """Return what a browser is sent, and what the application was asked."""
    seen: dict[str, Any] = {}
    sent: list[dict] = []

    async def app(scope: dict, receive: object, send: Any) -> None:
        seen.update(scope)
        headers = [(b"content-type", kind), (b"etag", b"old"), (b"content-length", str(sum(map(len, body))).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for place, part in enumerate(body):
            await send({"type": "http.response.body", "body": part, "more_body": place + 1 < len(body)})

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [(b"accept", accept), (b"accept-encoding", b"gzip"), (b"if-none-match", b"old")]
    scope = {"type": "http", "method": "GET", "path": "/train", "headers": headers}
    with ThreadPoolExecutor(1) as apart:  # the browser of other tests has an event loop in this thread
        apart.submit(asyncio.run, Styled(app)(scope, None, send)).result()
    whole = b"".join(message.get("body", b"") for message in sent)
    return dict(sent[0]["headers"]), whole, dict(seen["headers"])


@pytest.mark.parametrize("parts", [[PAGE], [PAGE[:40], PAGE[40:], b""]])
def test_a_document_holds_the_style(parts: list[bytes]):
    headers, body, asked = answered(parts, b"text/html; charset=utf-8")
    assert body.count(STYLE.read_bytes()) == 1
    assert body.index(STYLE.read_bytes()) < body.index(b"</head>")
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"etag" not in headers  # a browser that kept an older style must not keep it
    assert set(asked) == {b"accept"}


@pytest.mark.parametrize(
    ("kind", "accept", "status"),
    [(b"text/javascript", b"text/html", 200), (b"text/html", b"*/*", 200), (b"text/html", b"text/html", 403)],
)
def test_all_else_goes_through_as_it_is(kind: bytes, accept: bytes, status: int):
    headers, body, _ = answered([PAGE], kind, accept, status)
    assert body == PAGE
    assert headers[b"etag"] == b"old"


def test_preloads(tmp_path: Path):
    for folder, name, text in (
        ("js", "Html.AAAA.js", 'import{a as b}from"./deep.BBBB.js";import"./gone.CCCC.js"'),
        ("js", "deep.BBBB.js", 'import "./Html.AAAA.js"'),
        ("js", "PlotlyChart.DDDD.js", ""),
        ("media", "MaterialSymbols-Rounded.EEEE.woff2", ""),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    links = "".join(preloads(tmp_path))
    assert links.count("<link") == 3
    assert "Html.AAAA.js" in links
    assert "deep.BBBB.js" in links
    assert "MaterialSymbols" in links
    assert preloads(tmp_path / "nowhere") == []


def test_the_installed_streamlit_has_what_is_loaded_first():
    links = "".join(preloads(STATIC))
    assert all(f"/js/{name}." in links for name in EVERYWHERE)
    assert "MaterialSymbols" in links
    assert "PlotlyChart" not in links  # megabytes that the first page does without
