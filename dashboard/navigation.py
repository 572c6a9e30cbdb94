"""The pages, and the way from one to another.

A page is imported when it is opened, so that the table of runs does not wait for the figures. The chosen run stands in
the address as `run`, to which the pages of one run bind their selector: a copied link opens the same run.
"""

from typing import NoReturn

import streamlit as st

from winnow.dashboard.shared.selection import ONE, OTHER, RUN


def runs() -> st.Page:
    """Return the page with the table of runs, or the welcome where there are none."""
    return st.Page(_runs, title="Runs", icon=":material/table_rows:", url_path="runs", help="All runs, and comparisons")


def train() -> st.Page:
    """Return the page of one run."""
    return st.Page(
        _train, title="Train", icon=":material/monitoring:", url_path="train", help="Watch and drive one run"
    )


def path() -> st.Page:
    """Return the page of regularisation paths and studies."""
    return st.Page(
        _path, title="Path", icon=":material/timeline:", url_path="path", help="What sparsity costs: paths and studies"
    )


def groups() -> st.Page:
    """Return the page of the groups of one run."""
    return st.Page(
        _groups, title="Groups", icon=":material/grid_on:", url_path="groups", help="Which groups survive, and where"
    )


def tasks() -> st.Page:
    """Return the page of what the tasks of one run share."""
    return st.Page(
        _tasks, title="Tasks", icon=":material/hub:", url_path="tasks", help="Which features are shared, which specific"
    )


def explain() -> st.Page:
    """Return the page of what each task of one run relies on."""
    return st.Page(
        _explain,
        title="Explain",
        icon=":material/lightbulb:",
        url_path="explain",
        help="Which features a task relies on, and whether that is true",
    )


def prune() -> st.Page:
    """Return the page of what is removed from one run's network."""
    return st.Page(
        _prune, title="Prune", icon=":material/content_cut:", url_path="prune", help="Remove, measure, export"
    )


def compare() -> st.Page:
    """Return the page that holds one run against another."""
    return st.Page(
        _compare, title="Compare", icon=":material/compare:", url_path="compare", help="One run against another"
    )


def new() -> st.Page:
    """Return the page with the form for a new run."""
    return st.Page(_new, title="New run", icon=":material/add_circle:", url_path="new", help="Describe and start a run")


def open_run(identity: str) -> NoReturn:
    """Go to the Train page and show a run there."""
    st.switch_page(train(), query_params={RUN: identity})


def compare_runs(one: str, other: str) -> NoReturn:
    """Go to the Compare page with two runs."""
    st.switch_page(compare(), query_params={ONE: one, OTHER: other})


def _runs() -> None:
    from winnow.dashboard.pages.runs.page import page

    page()


def _train() -> None:
    from winnow.dashboard.pages.train.page import page

    page()


def _path() -> None:
    from winnow.dashboard.pages.path.page import page

    page()


def _groups() -> None:
    from winnow.dashboard.pages.groups.page import page

    page()


def _tasks() -> None:
    from winnow.dashboard.pages.tasks.page import page

    page()


def _explain() -> None:
    from winnow.dashboard.pages.explain.page import page

    page()


def _prune() -> None:
    from winnow.dashboard.pages.prune.page import page

    page()


def _compare() -> None:
    from winnow.dashboard.pages.compare.page import page

    page()


def _new() -> None:
    from winnow.dashboard.pages.new.page import page

    page()
