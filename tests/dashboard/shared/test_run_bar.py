import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from tests.dashboard.pruning_making import set_status, write_pruning
from tests.dashboard.reading import said
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run


def _bar() -> None:
    import streamlit as st

    from winnow.dashboard.shared.run_bar import run_bar

    if (bar := run_bar()) is not None:
        run, beside = bar
        beside.caption("beside the selector")
        st.text(run.id)


def test_the_run_that_the_address_names_is_chosen_and_the_newest_without_one(make_run: Callable[..., Run]) -> None:
    first, second = make_run(), make_run()
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert page.text[0].value == second.id
    assert [page.selectbox[0].options, page.caption[0].value] == [
        [f"small · {run.id}" for run in (second, first)],
        "beside the selector",
    ]
    page = AppTest.from_function(_bar, default_timeout=30)
    page.query_params["run"] = first.id
    assert page.run().text[0].value == first.id


def test_without_a_run_the_welcome_is_drawn_and_nothing_else(runs_root: object) -> None:
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert not page.exception
    assert ([title.value for title in page.title], len(page.text), len(page.selectbox)) == (["Winnow"], 0, 0)


def test_a_run_that_failed_says_so_and_why_in_a_badge(make_run: Callable[..., Run]) -> None:
    make_run(state="failed", message="loss became NaN at epoch 2, step 14 (task depth)")
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert "failed: loss became NaN at epoch 2, step 14 (task depth)" in said(page)
    make_run()
    assert "failed" not in said(AppTest.from_function(_bar, default_timeout=30).run())


class _Looks:
    """The looks that a page mounts, by name, and how often one asked for the page to be drawn anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[str, Callable[[], None]] = {}
        self.every: list[float | None] = []
        self.reruns = 0
        real = streamlit.fragment

        def fragment(part: Callable[[], None], run_every: float | None = None) -> Callable[[], None]:
            self.found[part.__qualname__.rpartition(".")[2]] = part
            self.every.append(run_every)
            found: Callable[[], None] = real(part, run_every=run_every)
            return found

        monkeypatch.setattr(streamlit, "fragment", fragment)
        self._patch = monkeypatch

    def again(self, name: str, **session: object) -> bool:
        """Look as the browser asks for it; return whether the page is to be drawn anew."""
        before = self.reruns
        with self._patch.context() as patch:
            patch.setattr(streamlit, "rerun", self._count)
            patch.setattr(streamlit, "session_state", session)
            self.found[name]()
        return self.reruns > before

    def _count(self) -> None:
        self.reruns += 1


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> _Looks:
    return _Looks(monkeypatch)


def _drawn(run: Run) -> AppTest:
    page = AppTest.from_function(_bar, default_timeout=30)
    page.query_params["run"] = run.id
    return page.run()


def test_an_idle_page_looks_for_a_run_that_goes_and_for_one_that_comes_back(
    make_run: Callable[..., Run], looks: _Looks, tmp_path: Path
) -> None:
    run, _ = make_run(), make_run()
    page = _drawn(run)
    assert (looks.every, looks.again("work")) == ([5.0], False)
    kept = shutil.move(run.path, tmp_path.parent / "kept")
    assert looks.again("work")
    assert f"There is no run {run.id}" in page.run().error[0].value.replace("\\", "")
    assert (looks.every, looks.again("gone_run")) == ([5.0, 5.0], False)
    shutil.move(kept, run.path)
    assert looks.again("gone_run")


def test_an_idle_page_looks_for_another_run_under_the_same_id(make_run: Callable[..., Run], looks: _Looks) -> None:
    run = make_run()
    _drawn(run)
    replace_json(run.path / "spec.json", {**run.document(), "name": "another run under this id"})
    assert looks.again("work")


def test_an_idle_page_looks_for_other_states_and_other_jobs(make_run: Callable[..., Run], looks: _Looks) -> None:
    run = make_run()
    _drawn(run)
    status = (run.path / "status.json").read_bytes()
    set_status(run, state="failed")
    assert looks.again("work")
    (run.path / "status.json").write_bytes(status)
    assert not looks.again("work")
    pruning = write_pruning(run)
    assert looks.again("work")
    assert not looks.again("work", freeze=True)
    _drawn(run)
    assert not looks.again("work")
    set_status(pruning, state="failed")
    assert looks.again("work")
    assert not looks.again("work", freeze=True)
    shutil.rmtree(run.path)
    assert looks.again("work", freeze=True)
