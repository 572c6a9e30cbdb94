"""How long a newcomer waits: from the server's first sign of life to the first row of the table of runs."""

import time
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.driving import PATIENCE, SIZE, settled
from tests.browser.serving import APP, serving

ROW_DRAWN = """
() => {
  const canvas = document.querySelector("canvas[data-testid=data-grid-canvas]")
  if (!canvas || !canvas.width) return false
  const scale = canvas.width / canvas.getBoundingClientRect().width
  const row = canvas.getContext("2d").getImageData(60 * scale, 42 * scale, 400 * scale, 26 * scale).data
  return new Set(new Uint32Array(row.buffer)).size > 8
}
"""  # the words of a cell have many greys, an empty cell has one colour


def first_view_seconds(browser: Browser, runs: Path, app: Path = APP) -> float:
    """Start a server on the folder `runs`, which holds a run, and open its page with an empty cache.

    Returns the seconds from the moment the server says that it is up to the moment that the first row of the table is
    painted. The browser runs already, as a user's does; the server is new, so this is what its first visitor waits.
    """
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    try:
        with serving(runs, app) as address:
            began = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.wait_for_function(ROW_DRAWN, polling="raf", timeout=PATIENCE)
            return time.perf_counter() - began
    finally:
        context.close()


def first_words_seconds(browser: Browser, app: Path, words: str) -> float:
    """Do the same for an app of `words` alone: what the server and the browser need before any code of ours."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    try:
        with serving(app.parent / "runs", app) as address:
            began = time.perf_counter()
            page.goto(address, wait_until="commit")
            expect(page.get_by_text(words)).to_be_visible(timeout=PATIENCE)
            return time.perf_counter() - began
    finally:
        context.close()


SHIFTS = """
window.shifts = []
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue
    const moved = entry.sources.filter((source) => source.node).map((source) => {
      const element = source.node.nodeType === 1 ? source.node : source.node.parentElement
      const keyed = element?.closest("[class*=st-key-]")?.className.match(/st-key-\\S+/)
      const from = `${Math.round(source.previousRect.top)}→${Math.round(source.currentRect.top)}`
      return `${keyed ?? element?.dataset?.testid ?? element?.tagName}: ${from}`
    })
    window.shifts.push({ value: entry.value, at: entry.startTime, moved })
  }
}).observe({ type: "layout-shift", buffered: true })
"""
SCORE = """
() => {
  let best = 0, sum = 0, first = 0, last = 0
  for (const { value, at } of window.shifts ?? []) {
    if (at - last > 1000 || at - first > 5000) { sum = 0; first = at }
    sum += value; last = at; best = Math.max(best, sum)
  }
  return best
}
"""  # Cumulative Layout Shift, as the browsers' makers define it: the largest sum within 5 s, without gaps of 1 s


def watch_shifts(context: BrowserContext) -> None:
    """Record, in every page of a context, what moves without having been asked to."""
    context.add_init_script(SHIFTS)


def layout_shift(page: Page) -> float:
    """Return the Cumulative Layout Shift of a page since it was loaded: at most 0.1 is called good."""
    return float(page.evaluate(SCORE))


def shift_sources(page: Page) -> list[str]:
    """Return what moved most, the worst first."""
    found = page.evaluate("() => window.shifts ?? []")
    worst = sorted(found, key=lambda entry: -entry["value"])[:5]
    return [f"{entry['value']:.3f} at {entry['at']:.0f} ms: {', '.join(entry['moved'][:4])}" for entry in worst]


def main_thread_seconds(page: Page) -> float:
    """Draw a page that stands there once more, and return for how long its main thread works for that [s of CPU]."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        found = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])

    before = worked()
    page.locator("body").press("r")  # Streamlit draws the page again
    page.wait_for_timeout(200)
    settled(page)
    page.wait_for_timeout(800)
    return worked() - before
