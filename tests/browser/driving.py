"""Headless Chromium, and a page that remembers what went wrong in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.find_tools import find

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 120_000.0  # ms: what a busy machine may take over anything
PROBE = re.compile(
    r"/(runs|train|path|groups|tasks|explain|prune|compare|report|new)/_stcore/(health|host-config)$"
)  # how a deep link finds the root of its server
SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"
AXE = Path(__file__).resolve().parents[1] / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = """
async (only) => (await axe.run(document, { resultTypes: ["violations"], iframes: false, ...only })).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .flatMap((found) => found.nodes.map((node) => `${found.id}: ${node.html.slice(0, 120)}`))
"""
SIZE = {"width": 1440, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser of this machine.

    Raises:
        FileNotFoundError: there is none.

    """
    path = find()
    if path is None:
        raise FileNotFoundError("no browser could be found")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Faults(list[str]):
    """Errors on the console and exceptions of the pages that are watched."""

    def watch(self, context: BrowserContext) -> None:
        """Gather from every page of a context, whose clicks are as patient as what is expected of it."""
        context.set_default_timeout(PATIENCE)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.append(f"exception: {error.error}"))

    def _console(self, message: ConsoleMessage) -> None:
        address = message.location.get("url", "")
        if message.type == "error" and not PROBE.search(address):
            self.append(f"{message.text} ({address})")


def settled(page: Page) -> None:
    """Wait until the page's script has run and everything it sent stands there.

    Not by `expect`: where that has to wait, it reads the whole page for its message, which takes the page's own time.
    """
    page.wait_for_selector(SETTLED, state="attached", timeout=PATIENCE)
    page.wait_for_selector("[data-testid=stSkeleton]", state="detached", timeout=PATIENCE)


def visit(page: Page, title: str) -> None:
    """Open a page by its link at the top."""
    keyed(page, "navigation").get_by_role("link", name=title, exact=True).click()


def keyed(page: Page, key: str) -> Locator:
    """Return the element that the page's script calls `key`."""
    return page.locator(f".st-key-{key}")


def serious(page: Page, contrast_alone: bool = False) -> list[str]:
    """Return what axe-core finds serious or critical on a page; nothing where `npm ci` has not installed it.

    `contrast_alone`: for a page that was examined in other colours, which are all that is new to it.
    """
    if not AXE.exists():
        return []
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(SERIOUS, {"runOnly": ["color-contrast"]} if contrast_alone else {})
    return found


def fill(page: Page, key: str, value: str) -> None:
    """Write into the field of the element `key`, once it stands there alone.

    While a form is drawn again, the old one is still there for a moment.
    """
    field = keyed(page, key).locator("input")
    expect(field).to_have_count(1, timeout=PATIENCE)
    field.fill(value)


def click_point(page: Page, point: Locator) -> None:
    """Click the middle of a mark: Plotly hears the pointer on a layer above it."""
    expect(point).to_be_visible()
    settled(page)
    box = point.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y, steps=3)
    expect(page.locator(".hoverlayer .hovertext").first).to_be_visible()
    page.mouse.click(x, y)
