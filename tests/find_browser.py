"""Find Chromium for the browser tests, or get it: Debian's package as root, Playwright's own build elsewhere."""

import os
import shutil
import subprocess
import sys

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


def get() -> None:
    """Install a browser in the way that fits this machine."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if not find():
        get()
    print(f"browser: {find() or 'none could be had; the browser tests will be skipped'}")
