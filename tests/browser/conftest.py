"""One browser for all tests that look at the real thing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import PATIENCE, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of this machine; without one, the tests that need it are skipped."""
    expect.set_options(timeout=PATIENCE)
    try:
        with chromium() as found:
            yield found
    except FileNotFoundError as missing:
        pytest.skip(f"browser test: {missing}")
