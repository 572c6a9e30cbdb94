"""The dashboard's server: `winnow dashboard` runs it with Streamlit.

The first page needs pandas and Arrow, a third of a second of imports, more than one where Python keeps no bytecode.
They are made while the first browser loads its scripts, not when it asks for the page; a session that comes sooner
waits for the same import. What a session draws is in shared/router.py.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread

import streamlit as st
from starlette.middleware import Middleware

from winnow.dashboard.documents import Slides, Styled
from winnow.dashboard.guard import Guard

HERE = Path(__file__).resolve().parent


@asynccontextmanager
async def warmed(_app: st.App) -> AsyncIterator[None]:
    """Start the imports of the pages as the server starts."""
    Thread(target=_import_ahead, daemon=True).start()
    yield


def _import_ahead() -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 10)  # a page is a hundred small files: each would wait 5 ms for the import to yield
    try:
        for page in ("runs", "train"):
            import_module(f"winnow.dashboard.pages.{page}.page")
    finally:
        sys.setswitchinterval(usual)


app = st.App(
    HERE / "shared" / "router.py",
    lifespan=warmed,
    middleware=[Middleware(Guard), Middleware(Slides), Middleware(Styled)],
)
