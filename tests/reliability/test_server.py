"""The dashboard's server lets in its own pages and whoever has its token, and nobody else."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.commanding import START, winnow_here
from winnow.dashboard.guard import Access, Guard
from winnow.engine.cli import serve
from winnow.engine.cli.serve import Server, is_loopback

OWN = "127.0.0.1:8501"
TOKEN = "t0ken"
SHARED = Access(token=TOKEN, hosts=("0.0.0.0", "machine"), local=False)
OPEN = Access(hosts=("0.0.0.0", "machine"), local=False)


class Answer(dict[str, Any]):
    """Status and headers of an answer; status 101 is a websocket that was let in."""


def asked(
    access: Access, path: str = "/", kind: str = "http", host: str = OWN, method: str = "GET", **headers: str
) -> Answer:
    """Ask a server that answers everything, behind the guard."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOWALL")]})
        await send({"type": "http.response.body", "body": b"page"})

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    bare, _, query = path.partition("?")
    given = {"host": host, **headers}
    scope = {
        "type": kind, "method": method, "path": bare, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    call = Guard(app, access)(scope, None, send)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as apart:  # a browser in this process has a loop of its own
        apart.submit(asyncio.run, call).result()
    first = sent[0]
    if kind == "websocket":
        return Answer(status=101 if first["type"] == "websocket.accept" else 403)
    return Answer(status=first["status"], **{name.decode(): value.decode() for name, value in first["headers"]})


@pytest.mark.parametrize(
    "host", [OWN, "localhost:8501", "localhost:9999", "[::1]:8501", "LOCALHOST:8501", "127.0.0.1."]
)
def test_this_machine_is_let_in(host: str):
    assert asked(Access(), host=host)["status"] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "localhost.evil.example", "", "192.168.0.7"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_name_that_was_pointed_at_this_machine_is_refused(host: str, kind: str):
    assert asked(Access(), kind=kind, host=host, origin=f"http://{host}")["status"] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:9999", "file://", "", "http://evil@x",
     "http://127.0.0.1:8501@evil.example", "http://127.0.0.1:8501.evil.example", "http://127.0.0.1"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_another_site_is_refused(origin: str, kind: str):
    method = "GET" if kind == "websocket" else "PUT"
    assert asked(Access(), "/_stcore/stream", kind, method=method, origin=origin)["status"] == 403
    with_cookie = {"cookie": f"winnow_8501={TOKEN}", "origin": origin}
    assert asked(SHARED, "/_stcore/stream", kind, method=method, **with_cookie)["status"] == 403


def test_a_websocket_without_an_origin_is_no_browsers():
    assert asked(Access(), "/_stcore/stream", "websocket")["status"] == 403


@pytest.mark.parametrize("host", [OWN, "localhost:9999"])  # the second through a tunnel of ssh
def test_a_page_of_ours_is_let_in(host: str):
    assert asked(Access(), "/_stcore/stream", "websocket", host, origin=f"http://{host}")["status"] == 101


def test_a_proxy_is_let_in_where_it_is_named():
    access = Access(origins=("https://hub.example.org",), hosts=("hub.example.org",))
    ask = ("/_stcore/stream", "websocket")
    for host in (OWN, "hub.example.org"):
        assert asked(access, *ask, host=host, origin="https://hub.example.org")["status"] == 101
    assert asked(access, *ask, origin="https://evil.example")["status"] == 403


def test_a_frame_of_another_site_cannot_hold_the_page():
    for answer in (asked(Access()), asked(SHARED)):
        assert answer["x-frame-options"] == "SAMEORIGIN"
        assert answer["content-security-policy"] == "frame-ancestors 'self'"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["x-content-type-options"] == "nosniff"


def test_without_the_token_nobody_is_let_in():
    for path in ("/", "/media/x.png", "/_stcore/host-config", f"/?token={TOKEN}x", "/?token=", "/?Token=t0ken"):
        assert asked(SHARED, path)["status"] == 403
    for cookie in (
        "",
        "winnow_8501=",
        "winnow_8501=wrong",
        f"winnow_8502={TOKEN}",
        f"other={TOKEN}",
        ";;;=",
        "a" * 9000,
    ):
        assert asked(SHARED, cookie=cookie)["status"] == 403
        assert asked(SHARED, "/_stcore/stream", "websocket", origin=f"http://{OWN}", cookie=cookie)["status"] == 403
    assert asked(SHARED, f"/?token={TOKEN}", "websocket", origin=f"http://{OWN}")["status"] == 403
    assert asked(SHARED, f"/?token={TOKEN}", method="PUT", origin=f"http://{OWN}")["status"] == 403
    assert asked(SHARED, "/_stcore/health")["status"] == 200


def test_the_printed_link_lets_in_and_leaves_no_token_in_the_address():
    answer = asked(SHARED, f"/train?run=x%26y&token={TOKEN}", host="machine:8501")
    assert answer["status"] == 303
    assert answer["location"] == "/train?run=x%26y"
    name, _, rest = answer["set-cookie"].partition("=")
    assert (name, rest.split(";")[0]) == ("winnow_8501", TOKEN)
    assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in rest.split(";")}
    cookie = answer["set-cookie"].split(";")[0]
    assert asked(SHARED, cookie=cookie)["status"] == 200
    assert asked(SHARED, "/_stcore/stream", "websocket", origin=f"http://{OWN}", cookie=cookie)["status"] == 101


@pytest.mark.parametrize(("base", "path"), [("", "/"), ("user/me/proxy/8501", "/user/me/proxy/8501")])
def test_the_cookie_goes_to_this_server_alone(base: str, path: str):
    """Beside it, at the same name, there may be the servers of other people."""
    access = Access(token=TOKEN, base_path=base, hosts=("hub.example.org",), local=False)
    answer = asked(access, f"/{base}?token={TOKEN}", host="hub.example.org")
    assert answer["set-cookie"].endswith(f"; Path={path}")


@pytest.mark.parametrize("access", [Access(), SHARED, OPEN])
@pytest.mark.parametrize("host", ["[::1", "[", "]", "[x]:1", "::1", "a b", "\x00", "é", "@", "/"])
def test_no_host_and_no_origin_raises_anything(access: Access, host: str):
    own = {"host": host.encode().decode("latin-1")}
    assert asked(access, **own)["status"] == 403
    ask = ("/_stcore/stream", "websocket")
    assert asked(access, *ask, origin=f"http://{own['host']}")["status"] == 403


def test_whether_it_is_up_is_told_and_nothing_is_changed_without_the_token():
    assert asked(SHARED, "/base/_stcore/health")["status"] == 200
    for method in ("PUT", "POST", "DELETE"):
        path = "/_stcore/upload_file/a/_stcore/health"
        assert asked(SHARED, path, method=method, origin=f"http://{OWN}")["status"] == 403
    assert asked(SHARED, "/_stcore/health", "websocket", origin=f"http://{OWN}")["status"] == 403


def test_the_way_to_the_address_without_the_token_leads_nowhere_else():
    assert asked(SHARED, f"//evil.example/?token={TOKEN}")["location"] == "/evil.example/"
    assert asked(Access(), "//evil.example/?token=any")["location"] == "/evil.example/"


def test_beyond_this_machine_without_a_token_a_rebound_name_is_refused():
    assert asked(OPEN, host="192.168.0.7:8501")["status"] == 200
    assert asked(OPEN, host="machine:8501")["status"] == 200
    assert asked(OPEN, host="evil.example:8501")["status"] == 403


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("192.168.0.7", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_is_loopback(host: str, loopback: bool):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("server", "page", "address"),
    [
        (Server("127.0.0.1", 8501, "", (), ""), "", "http://127.0.0.1:8501"),
        (Server("127.0.0.1", 8501, "tools/winnow", (), ""), "", "http://127.0.0.1:8501/tools/winnow"),
        (Server("0.0.0.0", 80, "a", (), "x"), "/train?run=r", "http://127.0.0.1:80/a/train?run=r&token=x"),
        (Server("::1", 8501, "", (), "x"), "", "http://[::1]:8501/?token=x"),
    ],
)
def test_the_printed_address(server: Server, page: str, address: str):
    assert server.address(page) == address


def started_with(monkeypatch: pytest.MonkeyPatch, *options: str) -> Server:
    servers: list[Server] = []
    monkeypatch.setattr(serve, "_serve", lambda server, *_: servers.append(server) or 0)
    done = winnow_here("dashboard", "--no-browser", *options)
    assert done.returncode == 0, done.stderr
    return servers[0]


def test_only_beyond_this_machine_a_token_is_made(monkeypatch):
    assert started_with(monkeypatch).token == ""
    assert len(started_with(monkeypatch, "--host", "0.0.0.0").token) >= 32
    assert started_with(monkeypatch, "--host", "0.0.0.0").token != started_with(monkeypatch, "--host", "::").token
    assert started_with(monkeypatch, "--host", "0.0.0.0", "--no-auth").token == ""
    assert started_with(monkeypatch, "--auth").token
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("STREAMLIT_SERVER_BASE_URL_PATH", "/tools/winnow/")
    server = started_with(monkeypatch)
    assert server.token
    assert server.base_path == "tools/winnow"


@pytest.mark.parametrize("origin", ["hub.example.org", "ftp://x", "https://x/path", "https://"])
def test_an_origin_is_an_address(origin: str):
    done = winnow_here("dashboard", "--origin", origin)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@contextmanager
def command(root: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `winnow dashboard` on a free port; yield the address that it printed, once it is up.

    What else it prints is read on, or it would wait for a reader for ever; an exception in it is a failure.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "WINNOW_RUNS": str(root), "PYTHONUNBUFFERED": "1"}
    started = [sys.executable, "-P", "-c", START, "dashboard", "--no-browser", "--port", str(port), *options]
    process = subprocess.Popen(started, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed: list[str] = []
    reader = threading.Thread(target=printed.extend, args=(process.stdout,))
    address = process.stdout.readline().partition("dashboard: ")[2].strip()
    reader.start()
    try:
        base = options[options.index("--base-path") + 1] if "--base-path" in options else ""
        until = time.monotonic() + 60
        while got(port, f"/{base}/_stcore/health" if base else "/_stcore/health")[0] != 200:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        yield address, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        reader.join(timeout=60)
        process.stdout.close()
    assert "Traceback" not in "".join(printed), "".join(printed)
    assert "Local URL" not in "".join(printed), "Streamlit's own addresses are without the token"


def got(port: int, path: str, host: str = "", **headers: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}", **headers})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    except OSError:
        return 0, {}
    finally:
        connection.close()


def test_the_printed_address_works_behind_a_base_path_and_with_a_token(tmp_path: Path):
    with command(tmp_path, "--base-path", "tools/winnow", "--auth") as (address, _):
        found = re.fullmatch(r"http://127.0.0.1:(\d+)(/tools/winnow/?)\?token=(\S+)", address)
        assert found
        port, path, token = int(found[1]), found[2], found[3]
        assert got(port, path)[0] == 403
        status, headers = got(port, f"{path}?token={token}")
        assert status == 303
        cookie = headers["set-cookie"].split(";")[0]
        status, headers = got(port, headers["location"], Cookie=cookie)
        if status in (301, 307, 308):
            status, headers = got(port, headers["location"].replace(f"http://127.0.0.1:{port}", ""), Cookie=cookie)
        assert status == 200
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert got(port, path, host="evil.example", Cookie=cookie)[0] == 403
