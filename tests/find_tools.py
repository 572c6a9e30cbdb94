"""Find what tests need beside Python, or get it: Chromium for the browser, Node for the scripts of the canvas.

As root on Debian both come from its packages; elsewhere Playwright brings its own build of Chromium. Where CI is set,
ESLint is installed beside the scripts' tests; without it, Node checks their syntax.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Return the path of a browser that is here already."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
    except Exception as error:
        print(f"playwright: {error}", file=sys.stderr)
        return None
    return path if os.path.exists(path) else None


def get(missing: list[str]) -> None:
    """Install Debian's packages, where that is possible; of a browser, Playwright's build elsewhere."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", *missing], check=False)
    elif "chromium" in missing:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def get_linter() -> None:
    """Install ESLint in the folder of the scripts' tests."""
    folder = Path(__file__).parent / "javascript"
    if shutil.which("npm") and not (folder / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-fund", "--no-audit"], cwd=folder, check=False)


if __name__ == "__main__":
    here = {"chromium": find(), "nodejs": shutil.which("node")}
    if missing := [name for name, path in here.items() if not path]:
        get(missing)
    if os.environ.get("CI"):
        get_linter()
    print(f"browser: {find() or 'none could be had; the browser tests will be skipped'}")
    print(f"node: {shutil.which('node') or 'none could be had; the JavaScript tests will be skipped'}")
