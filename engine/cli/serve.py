"""`winnow dashboard` and `winnow demo`: the dashboard's server, for this machine alone or, with a token, for others.

Our settings go to the server as flags, which win over files and the environment. The token goes in the environment: a
command line can be read by every user of the machine.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from winnow.engine.cli.doctor import port_refused
from winnow.engine.runs import launch
from winnow.engine.runs.run import create, runs_folder
from winnow.engine.specs.train import demo

# While a run is watched, its log is read again and again: what is freed goes back to the system, and is not pooled.
MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "65536",
}
ACCESS = "WINNOW_ACCESS"  # in the server's environment: who is let in (dashboard.guard)
Command = Callable[..., Any]


@dataclass(frozen=True)
class Server:
    """Where the server listens, and whom it lets in."""

    host: str
    port: int
    base_path: str
    origins: tuple[str, ...]
    token: str

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    def address(self, page: str = "", host: str = "") -> str:
        """Return the address of a page, with the token."""
        shown = host or ("127.0.0.1" if self.host in ("0.0.0.0", "::", "localhost") else self.host)
        query = [part for part in (page.partition("?")[2], f"token={self.token}" if self.token else "") if part]
        path = "/".join(part for part in (self.base_path, page.partition("?")[0].strip("/")) if part)
        named = f"[{shown}]" if ":" in shown else shown
        return f"http://{named}:{self.port}/{path}{'?' + '&'.join(query) if query else ''}".removesuffix("/")

    def access(self) -> str:
        """Return what the guard is told."""
        own = {self.host, socket.gethostname(), socket.getfqdn(), *(_host_of(origin) for origin in self.origins)}
        said = {"token": self.token, "port": self.port, "base_path": self.base_path, "local": self.local}
        return json.dumps({**said, "hosts": sorted(own), "origins": self.origins})

    def flags(self) -> list[str]:
        """Return the settings of Streamlit's server."""
        given = {
            "server.port": self.port,
            "server.address": self.host,
            "server.baseUrlPath": self.base_path,
            "server.headless": "true",
            "server.enableCORS": "true",
            "server.enableXsrfProtection": "true",
            "server.enableStaticServing": "false",
            "server.enableAgentApi": "false",
            "server.fileWatcherType": "none",
            "client.showErrorDetails": "none",
            "logger.hideWelcomeMessage": "true",  # addresses without the token; one is asked of a server outside
        }
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        for origin in self.origins:
            flags += ["--server.corsAllowedOrigins", origin]
        return flags


def _server_options(command: Command) -> Command:
    options = (
        click.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            envvar="STREAMLIT_SERVER_ADDRESS",
            help="address to listen on; if other machines can reach it, the printed link contains a token",
        ),
        click.option(
            "--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="TCP port to listen on"
        ),
        click.option(
            "--base-path",
            default="",
            envvar="STREAMLIT_SERVER_BASE_URL_PATH",
            help="path below which a proxy shows the dashboard, such as user/me/proxy/8501",
        ),
        click.option(
            "--origin",
            "origins",
            multiple=True,
            metavar="URL",
            help="address at which a browser sees it through a proxy, such as https://hub.example.org",
        ),
        click.option(
            "--auth/--no-auth",
            default=None,
            help="require a token, or none  [default: a token for other machines only]",
        ),
        click.option("--browser/--no-browser", default=True, show_default=True, help="open a browser window"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("dashboard")
@_server_options
def dashboard_command(browser: bool, **given: Any) -> None:
    """Open the dashboard."""
    sys.exit(_serve(_server(**given), browser))


@click.command("demo")
@_server_options
def demo_command(browser: bool, **given: Any) -> None:
    """Train on the embedded rooms and open the live run. Takes about 2 minutes on 2 cores."""
    server = _server(**given)
    run = create(demo())
    launch.start(run)
    click.echo(f"training {run.id}; it continues when the page is closed")
    sys.exit(_serve(server, browser, f"/train?run={run.id}"))


def _server(host: str, port: int, base_path: str, origins: tuple[str, ...], auth: bool | None) -> Server:
    """Return the server that the options describe; a random token where others reach it."""
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise click.UsageError(f"`--origin` must be like https://hub.example.org, got {origin!r}.")
    asked = not is_loopback(host) if auth is None else auth
    token = secrets.token_urlsafe(24) if asked else ""
    return Server(host, port, base_path.strip("/"), tuple(origin.rstrip("/") for origin in origins), token)


def is_loopback(host: str) -> bool:
    """Return whether an address is one of this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _say(server: Server, page: str) -> None:
    """Print the addresses that work."""
    click.echo(f"dashboard: {server.address(page)}")
    if not server.local and server.host in ("0.0.0.0", "::"):
        click.echo(f"from other machines: {server.address(page, socket.gethostname())}")
    for origin in server.origins:
        click.echo(f"through the proxy: {origin}{server.address(page).partition(str(server.port))[2]}")
    if not server.local and not server.token:
        click.echo("warning: whoever reaches this address can start and remove runs (--no-auth)", err=True)


def _serve(server: Server, browser: bool, page: str = "") -> int:
    """Run the dashboard's server until it is interrupted or asked to end; it never outlives this command."""
    found = find_spec("winnow.dashboard.app")
    if found is None or found.origin is None:
        raise click.UsageError("the dashboard is not installed. Run pip install winnow-mtl.")
    if why := port_refused(server.host.strip("[]"), server.port):
        raise click.UsageError(f"`--port` must be free on {server.host}, got {server.port}: {why}. Give another one.")
    _say(server, page)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app = Path(found.origin)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "streamlit", "run", str(app), *server.flags()],
        cwd=app.parent,  # Streamlit also reads .streamlit/config.toml of the working folder: here it is ours
        env={
            **MEMORY,
            **os.environ,
            **launch.safe_path(),
            "WINNOW_RUNS": str(runs_folder()),
            ACCESS: server.access(),
        },
    )
    try:
        if browser:
            click.launch(server.address(page))
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        process.terminate()
        process.wait()
