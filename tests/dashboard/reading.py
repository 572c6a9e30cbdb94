"""What a page says, as a visitor reads it."""

import re

from streamlit.testing.v1 import AppTest


def said(page: AppTest) -> str:
    """Return the words of a page, without the escapes that keep names from being Markdown."""
    texts = [text.value for text in (*page.markdown, *page.caption, *page.text)]
    return re.sub(r"\\(.)", r"\1", "\n".join(texts))


def opened(page: AppTest, key: str) -> AppTest:
    """Open an expander, which draws what it holds only then; `AppTest` cannot click it."""
    page.session_state[key] = True
    return page.run()
