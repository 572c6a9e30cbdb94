"""A page drawn without a server."""

from streamlit.testing.v1 import AppTest


def drawn(url: str, **address: str) -> AppTest:
    """Draw a page at an address."""

    def script(url: str) -> None:
        from importlib import import_module

        import_module(f"winnow.dashboard.pages.{url}.page").page()

    page = AppTest.from_function(script, default_timeout=60, kwargs={"url": url})
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()
